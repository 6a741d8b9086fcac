"""Every promise names tests, and every test that is named exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, rows

_SECURITY = ROOT / "docs/security.md"
_SUBSCRIPTIONS = ROOT / "docs/subscriptions.md"
_PAGE = ROOT / "docs/guarantees.md"
_TEST = re.compile(r"`(tests/\w+/\w+\.py)(?:::(\w+))?`")


@cache
def _tests_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize(
    ("page", "more_than"), [(_PAGE, 50), (_SECURITY, 35), (_SUBSCRIPTIONS, 10)]
)
def test_every_named_test_exists(page: Path, more_than: int) -> None:
    named = _TEST.findall(page.read_text(encoding="utf-8"))
    assert len(named) > more_than
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or (name and name not in _tests_in(ROOT / path))
    ]
    assert not missing


def test_every_threat_names_what_stops_it_and_a_test() -> None:
    for threat, stopped_by, tests in rows(_SECURITY, "Threat"):
        assert stopped_by, threat
        assert all(name for _, name in _TEST.findall(tests)), threat
        assert _TEST.sub("", tests).strip(", ") == "", threat
        assert _TEST.findall(tests), threat


@pytest.mark.parametrize("number", range(1, 9))
def test_every_promise_names_a_conformance_test(number: int) -> None:
    text = _PAGE.read_text(encoding="utf-8")
    promise = re.search(rf"^## {number}\. .*?(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert promise is not None
    assert "`tests/conformance/" in promise[0]
