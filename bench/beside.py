"""Two things measured in turns, so that a machine that changes its speed changes both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

Figures = dict[str, Any]
Measure = Callable[[], Figures]


def in_turns(rounds: int, measures: Mapping[str, Measure]) -> dict[str, list[Figures]]:
    """Return what each measured in each round: a b c, a b c, and so on."""
    found: dict[str, list[Figures]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return found


def middle(found: Sequence[Figures], by: str = "per_s") -> Figures:
    """Return the figures of the round in the middle, with the worst that others did in any."""
    ordered = sorted(found, key=lambda one: float(one[by]))
    worst = max(one["others_busy"] for one in found)
    return {**ordered[len(ordered) // 2], "others_busy": worst}


def ratios(found: Sequence[Figures], ceilings: Sequence[Figures]) -> dict[str, float]:
    """Return how many operations fit into the room of a bare request: by count and by CPU.

    Each is the median over the rounds. The latter takes the processor time of the server and
    its store for an operation; it is steadier when others use the machine. Counting makes no
    sense at a fixed rate.
    """
    pairs = list(zip(found, ceilings, strict=True))
    shown = {}
    if found[0]["loop"] == "closed":
        counted = [one["per_s"] / ceiling["per_s"] for one, ceiling in pairs]
        shown["ratio"] = round(median(counted), 3)
    if all(_cpu_us(one) for one in found):
        spent = [_cpu_us(ceiling) / _cpu_us(one) for one, ceiling in pairs]
        shown["cpu_ratio"] = round(median(spent), 3)
    return shown


def _cpu_us(found: Figures) -> float:
    """Return the processor time of server and store for an operation."""
    spent = found["server_cpu_us_per_request"] + found["store_cpu_us_per_request"]
    return float(spent * found["requests"] / max(found["operations"], 1))
