"""What counts as too much, what is recorded, and what only compares on the same release."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.budget.interpreter import Bytecodes, counts, least
from bench.budget.record import (
    Count,
    Recorded,
    compared,
    load,
    save,
    skipped_counts,
    versions,
)

_FOUND: Recorded = {"sqlite": {"post-1, 16 at once": {"statements": 7.25, "steps": 120}}}


def _count(name: str, was: float | None, now: float) -> Count:
    return Count("sqlite", "post-1", name, was, now)


@pytest.mark.parametrize(
    ("count", "is_over", "is_gain"),
    [
        (_count("statements", 7, 7), False, False),
        (_count("statements", 7, 8), True, False),
        (_count("statements", 7.25, 7.26), True, False),
        (_count("steps", 100, 103), False, False),
        (_count("steps", 100, 104), True, False),
        (_count("steps", 100, 84), False, True),
        (_count("scripts", 0, 1), True, False),
        (_count("steps", None, 1), True, False),
    ],
)
def test_growth_is_refused_and_gain_is_noticed(
    count: Count, is_over: bool, is_gain: bool
) -> None:
    assert (count.is_over, count.is_gain) == (is_over, is_gain)


def test_a_count_says_what_it_was_and_what_it_is() -> None:
    assert str(_count("steps", 100, 110)) == "sqlite post-1: steps was 100, is 110 (+10.0%)"
    assert "never recorded" in str(_count("steps", None, 1))


def test_what_was_recorded_compares_with_itself(tmp_path: Path) -> None:
    file = tmp_path / "budget.toml"
    save(_FOUND, {"sqlite": 3.5}, file)
    recorded = load(file)
    assert recorded["versions"] == versions()
    assert recorded["processor"] == {"sqlite": 3.5}
    found = list(compared(recorded, _FOUND))
    assert [(one.was, one.now) for one in found] == [(7.25, 7.25), (120, 120)]


def test_counts_of_another_release_do_not_compare() -> None:
    recorded = {"versions": {**versions(), "sqlite": "3.0.0"}}
    assert [one.name for one in compared(recorded, _FOUND)] == ["statements"]
    assert "3.0.0" in skipped_counts(recorded)["steps"]


def test_the_least_of_each_count_is_taken() -> None:
    assert least([{"a": 1, "b": 4}, {"a": 2, "b": 3}]) == {"a": 1, "b": 3}


def test_the_same_work_counts_the_same_and_more_work_counts_more() -> None:
    async def little() -> None:
        sorted([3, 2, 1])

    async def much() -> None:
        kept = [str(number) for number in range(1000, 1100)]
        sorted(kept)

    assert counts(little) == counts(little)
    assert all(
        more >= less
        for more, less in zip(counts(much).values(), counts(little).values(), strict=True)
    )
    assert counts(much)["blocks"] >= 100


def test_bytecodes_of_the_benchmarks_themselves_do_not_count() -> None:
    counter = Bytecodes()
    with counter.everywhere():
        of_tests = counter.during(lambda: sum(number for number in range(100)))
        of_bench = counter.during(lambda: _count("steps", 1, 2).is_over)
    assert of_tests > 100
    assert of_bench < 50
