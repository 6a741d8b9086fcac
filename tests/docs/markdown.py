"""Reads the Markdown files of the project as GitHub does, as far as the tests need it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
_CODE = re.compile(r"(`+)(.+?)\1")


class Block(NamedTuple):
    """A fenced block."""

    language: str
    text: str


def pages() -> list[Path]:
    """Return every Markdown file that is part of the project."""
    own = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    return sorted([*own, *ROOT.glob("storage_drivers/**/*.md"), *ROOT.glob("bench/*.md")])


def name(page: Path) -> str:
    """Return the path of a page as a reader knows it."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return [Block(*found) for found in _FENCE.findall(page.read_text(encoding="utf-8"))]


def links(page: Path) -> Iterator[str]:
    """Return the targets of all links."""
    return (found[1] for found in _LINK.finditer(_without_code(page)))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes out of the headings."""
    seen: dict[str, int] = {}
    found = set()
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for heading in _HEADING.findall(text):
        plain = _LINK.sub("", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(slug if slug not in seen else f"{slug}-{seen[slug]}")
        seen[slug] = seen.get(slug, 0) + 1
    return found


def rows(page: Path, first_column: str) -> list[list[str]]:
    """Return the rows, without head, of the table whose first column has this title."""
    lines = iter(page.read_text(encoding="utf-8").splitlines())
    head = next(line for line in lines if _cells(line)[:1] == [first_column])
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        cells = _cells(line)
        assert len(cells) == columns(head), line
        found.append(cells)
    return found


def columns(line: str) -> int:
    """Return the number of cells in a row of a table."""
    return len(_cells(line))


def _cells(line: str) -> list[str]:
    if not line.startswith("|"):
        return []
    return [cell.strip() for cell in line.strip()[1:-1].split("|")]


def _without_code(page: Path) -> str:
    return _CODE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
