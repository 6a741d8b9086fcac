"""`python -m bench budget`: what a request costs, beside what was recorded of it."""

from __future__ import annotations

import argparse
from typing import Any

from bench.budget.processor import processor_times
from bench.budget.record import FILE, Count, compared, count, load, save, skipped_counts
from bench.client import LoadFailed


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """Print every count, and record them if asked to. Raises: LoadFailed."""
    found = count()
    if "redis" not in found:
        raise LoadFailed("there is no Redis server, so its part cannot be counted")
    recorded = load()
    counts = list(compared(recorded, found))
    for one in counts:
        print(f"{_mark(one)} {one}")
    for name, reason in skipped_counts(recorded).items():
        print(f"  {name} not compared: {reason}")
    processor = processor_times(["sqlite", "redis"])
    print(f"  processor time, times the bare application's: {processor}")
    if flags.record:
        save(found, processor)
        print(f"recorded in {FILE}")
    return {
        "counts": found,
        "processor": processor,
        "over": [str(one) for one in counts if one.is_over],
    }


def _mark(one: Count) -> str:
    return "+" if one.is_over else "-" if one.is_gain else " "
