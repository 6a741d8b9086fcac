"""Each dependency earns its line."""

from __future__ import annotations

import re
from configparser import ConfigParser

from tests.docs.markdown import ROOT

_NAME = re.compile(r"^[A-Za-z][\w-]*")


def test_every_dependency_has_its_line() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    groups = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    wanted = {
        found[0]
        for group in groups
        for line in group.splitlines()
        if (found := _NAME.match(line)) and found[0] != "nusku"
    }
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    first_cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    explained = {name.strip() for cell in first_cells for name in cell.split(",")}
    assert len(wanted) > 10
    assert wanted <= explained
