"""Entry point of `python -m bench`; see README.md beside this file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from bench import (
    authentication,
    bare,
    compare,
    depth,
    http,
    neighbours,
    profile,
    table,
    waiters,
    workers,
)
from bench.budget import command as budget
from bench.client import LoadFailed
from bench.options import parser
from bench.picture import Bar, draw
from bench.report import document, save, tables

_COMMANDS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "http": http.run,
    "compare": compare.run,
    "ceiling": bare.run,
    "profile": profile.run,
    "budget": budget.run,
    "depth": depth.run,
    "workers": workers.run,
    "neighbours": neighbours.run,
    "authentication": authentication.run,
    "waiters": waiters.run,
    "table": table.run,
}


def main() -> int:
    """Run a command, print its table, and keep its figures where asked."""
    flags = parser().parse_args()
    try:
        found = _COMMANDS[flags.command](flags)
    except LoadFailed as ex:
        print(f"bench: {ex}", file=sys.stderr)
        return 1
    content = document(flags.command, vars(flags), found)
    if flags.json:
        save(flags.json, content)
    if flags.svg:
        flags.svg.parent.mkdir(parents=True, exist_ok=True)
        flags.svg.write_text(_picture(content), encoding="utf-8")
    print(f"\n{tables(content)}")
    return 0


def _picture(content: dict[str, Any]) -> str:
    bars = [
        Bar(result["workload"], result["per_s"], _note(result))
        for result in content.get("results", ())
    ]
    for result in content.get("comparison", ()):
        for name in ("nusku", "zaqar"):
            found = result[name]
            bars.append(Bar(f"{name} {result['workload']}", found["per_s"], _note(found)))
    title = f"{content['command']}, {content['date'][:10]}, {content['machine']['cpu']}"
    return draw(title, bars)


def _note(result: dict[str, Any]) -> str:
    latency = result["latency"]
    ratio = f", {result['ratio']} x bare" if "ratio" in result else ""
    return f"{result['per_s']:,.0f}/s{ratio}, p99 {latency.get('p99_ms', 0):.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
