"""What pages point at exists, and what they draw can be drawn."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, anchors, blocks, columns, links, name, pages

_PAIRS = {")": "(", "]": "[", "}": "{"}
_OPENED_BY = re.compile(r"^\s*(?:subgraph\b|alt\b|loop\b|opt\b|note\b(?!.*:))", re.MULTILINE)
_CLOSED_BY = re.compile(r"^\s*end(?: note)?\s*$", re.MULTILINE)
_QUOTED = re.compile(r'"[^"\n]*"')


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        assert ROOT in target.parents, f"{link}: outside of the project"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_page_has_one_title_and_ends_its_blocks(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "\n```" not in outside, "a block has no end"
    assert len(re.findall(r"^# .+$", outside, re.MULTILINE)) == 1


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_table_has_as_many_columns_in_each_row(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    for above, line in pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert columns(above) == columns(line), line


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_diagram_is_balanced(page: Path) -> None:
    for block in blocks(page):
        if block.language == "mermaid":
            assert block.text.split()[0] in {"flowchart", "stateDiagram-v2", "sequenceDiagram"}
            assert _QUOTED.sub("", block.text).count('"') == 0, "a quote has no end"
            _check_brackets(_QUOTED.sub("", block.text))
            assert len(_OPENED_BY.findall(block.text)) == len(_CLOSED_BY.findall(block.text))


def _check_brackets(text: str) -> None:
    opened: list[str] = []
    for character in text:
        if character in _PAIRS.values():
            opened.append(character)
        elif character in _PAIRS:
            assert opened, f"{character} was not opened"
            assert opened.pop() == _PAIRS[character]
    assert not opened, "not closed"


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_every_document_can_be_reached_from(page: str) -> None:
    reached: set[Path] = set()
    waiting = [ROOT / page]
    while waiting:
        current = waiting.pop()
        if current in reached or current.suffix != ".md" or not current.exists():
            continue
        reached.add(current)
        paths = (link.partition("#")[0] for link in links(current) if "://" not in link)
        waiting += [(current.parent / path).resolve() for path in paths if path]
    assert set(ROOT.glob("docs/**/*.md")) <= reached


def test_the_files_that_architecture_names_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:queues|transport|storage_drivers|tests)/[\w./<>*]+)`", text)
    assert len(named) > 20
    for path in named:
        pattern = re.sub(r"<noun>", "messages", re.sub(r"<d>|NNNN", "*", path))
        assert list(ROOT.glob(pattern)), f"{path}: no such file"
