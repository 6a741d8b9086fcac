"""A picture of the results: bars as an SVG, which needs no library and no script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

_WIDTH, _LEFT, _ROW, _BAR, _TOP = 820, 150, 30, 18, 46
_LONGEST = 360


class Bar(NamedTuple):
    """One bar: what it is, how much it is, and what is written behind it."""

    name: str
    value: float
    note: str


def draw(title: str, bars: Sequence[Bar]) -> str:
    """Return an SVG with one horizontal bar each, the longest for the highest value."""
    highest = max((bar.value for bar in bars), default=0) or 1
    height = _TOP + _ROW * len(bars) + 14
    rows = [_row(number, bar, bar.value / highest) for number, bar in enumerate(bars)]
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="13"',
            f' width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}">',
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="16" y="28" font-size="16" font-weight="bold">{escape(title)}</text>',
            *rows,
            "</svg>\n",
        ]
    )


def _row(number: int, bar: Bar, share: float) -> str:
    top, length = _TOP + _ROW * number, max(share * _LONGEST, 1)
    middle = top + _BAR - 4
    return (
        f'<text x="{_LEFT - 10}" y="{middle}" text-anchor="end">{escape(bar.name)}</text>'
        f'<rect x="{_LEFT}" y="{top}" width="{length:.1f}" height="{_BAR}" fill="#3465a4"/>'
        f'<text x="{_LEFT + length + 8:.1f}" y="{middle}">{escape(bar.note)}</text>'
    )
