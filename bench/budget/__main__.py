"""Count everything in this process, which has done nothing else, and print it as JSON."""

from __future__ import annotations

import json
import sys

from bench.budget.http import http_counts
from bench.budget.interpreter import counts
from bench.budget.redis import redis_counts
from bench.budget.sqlite import sqlite_counts
from bench.client import LoadFailed
from bench.pieces.inprocess import CASES, requests


def _application() -> dict[str, dict[str, int]]:
    """Return for each workload what it counts beyond the bare application."""
    found = {name: counts(request) for name, request in requests().items()}
    return {
        name: {one: count - found[case.ceiling][one] for one, count in found[name].items()}
        for name, case in CASES.items()
    }


def main() -> None:
    """Leave out Redis where there is none."""
    found: dict[str, object] = {
        "http": http_counts(),
        "application": _application(),
        "sqlite": sqlite_counts(),
    }
    try:
        found["redis"] = redis_counts()
    except LoadFailed as ex:
        print(ex, file=sys.stderr)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
