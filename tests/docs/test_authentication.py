"""The files that the page on authentication shows are files that work."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from queues.authorization import DEFAULTS, Authorization
from queues.config import load
from tests.docs.markdown import ROOT, blocks, rows

_PAGE = ROOT / "docs/authentication.md"
_FILES = [block.text for block in blocks(_PAGE) if block.language == "toml"]


def test_every_file_of_settings_is_accepted(tmp_path: Path) -> None:
    shown = [text for text in _FILES if "auth_strategy" in text]
    for text in shown:
        file = tmp_path / "nusku.toml"
        file.write_text(text)
        load({"keystone_password": "secret"}, {}, str(file))
    assert len(shown) >= 4


def test_the_policy_is_accepted() -> None:
    (shown,) = [text for text in _FILES if "auth_strategy" not in text]
    Authorization(tomllib.loads(shown))


def test_every_rule_is_listed() -> None:
    listed = [row[0] for row in rows(_PAGE, "Rules")]
    assert set(re.findall(r"`([a-z:_]+)`", " ".join(listed))) == set(DEFAULTS)
