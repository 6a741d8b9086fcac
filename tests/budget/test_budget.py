"""No request may cost more than what was recorded in bench/budget/budget.toml."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bench.budget.processor import processor_times
from bench.budget.record import (
    AGAIN,
    PROCESSOR_GROWTH,
    Recorded,
    compared,
    count,
    skipped_counts,
    versions,
)
from tests.servers.process import missing
from tests.servers.redis import redis_binary

_AREAS = ("http", "application", "sqlite", "redis")

_TRIES = 3


@pytest.mark.parametrize("area", _AREAS)
def test_nothing_costs_more_than_was_recorded(
    recorded: Mapping[str, object], found: Recorded, area: str
) -> None:
    if area not in found:
        missing("redis-server")
    if area in ("http", "application") and "bytecodes" in skipped_counts(recorded):
        pytest.skip(skipped_counts(recorded)["bytecodes"])
    over = [str(one) for one in compared(recorded, {area: found[area]}) if one.is_over]
    assert not over, "\n".join([*over, f"if that has to be: {AGAIN}"])


def test_nothing_that_was_recorded_goes_uncounted(
    recorded: Mapping[str, object], found: Recorded
) -> None:
    for area in found:
        section = recorded[area]
        assert isinstance(section, dict)
        assert section.keys() == found[area].keys()


def test_counting_again_finds_the_same_whatever_strings_hash_to(
    found: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    again = list(compared(found, count()))
    assert again
    assert [str(one) for one in again if one.was != one.now and one.name != "blocks"] == []
    assert [str(one) for one in again if one.is_over] == []


@pytest.mark.parametrize(("counter", "name"), [("python", "bytecodes"), ("sqlite", "steps")])
def test_the_counts_were_recorded_with_what_runs_here(
    recorded: Mapping[str, object], counter: str, name: str
) -> None:
    reason = skipped_counts(recorded).get(name)
    if reason:
        pytest.skip(reason)
    under = recorded["versions"]
    assert isinstance(under, dict)
    assert under.keys() == versions().keys()
    assert under[counter] == versions()[counter]


def test_a_post_takes_little_more_processor_time_than_was_recorded(
    recorded: Mapping[str, object],
) -> None:
    section = recorded["processor"]
    assert isinstance(section, dict)
    if redis_binary() is None:
        missing("redis-server")
    tries = []
    for _ in range(_TRIES):
        tries.append(processor_times(list(section)))
        if all(tries[-1][kind] <= section[kind] * (1 + PROCESSOR_GROWTH) for kind in section):
            return
    pytest.fail(
        f"times the bare application's: was {section}, is {tries}; if that has to be: {AGAIN}"
    )
