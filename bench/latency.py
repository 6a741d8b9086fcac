"""Latencies of many operations, and what is said of them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence


class Latencies:
    """How long each operation took, exactly: nothing is put into classes."""

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        """Begin with the given latencies."""
        self._seconds = array("d", seconds)
        self.add = self._seconds.append

    def __len__(self) -> int:
        """How many there are."""
        return len(self._seconds)

    def __iter__(self) -> Iterator[float]:
        """Each of them in seconds."""
        return iter(self._seconds)

    def summary(self) -> dict[str, float]:
        """Return mean, percentiles and maximum in milliseconds; empty without operations."""
        if not self._seconds:
            return {}
        ordered = sorted(self._seconds)
        points = {"p50_ms": 50.0, "p99_ms": 99.0, "p99_9_ms": 99.9, "max_ms": 100.0}
        shown = {name: percentile(ordered, percent) for name, percent in points.items()}
        return {
            name: round(seconds * 1000, 3)
            for name, seconds in {"mean_ms": math.fsum(ordered) / len(ordered), **shown}.items()
        }


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest of the ascending values that `percent` of them do not exceed."""
    # NOTE: rounded first, since 99.9 / 100 * 1000 is a little more than 999.
    rank = math.ceil(round(percent * len(ordered) / 100, 9))
    return ordered[max(rank, 1) - 1]
