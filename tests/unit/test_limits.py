"""Maxima, minima and the texts of their refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from queues import limits
from queues.errors import InvalidRequest
from queues.limits import Limits

LIMITS = Limits()


@pytest.mark.parametrize("name", ["a", "A-b_c.9", "x" * 64, "-", "..", "_"])
def test_a_good_queue_name_is_given_back(name: str) -> None:
    assert limits.check_queue_name("queue", name) == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a/b", "é", "a\n", "\n", "a\x00", "٣"])
def test_a_bad_queue_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="the queue must be 1 to 64 characters"):
        limits.check_queue_name("the queue", name)


RANGES: list[tuple[Callable[[int], int], int, int]] = [
    (lambda value: limits.check_message_ttl("ttl", value, LIMITS), 60, 1_209_600),
    (lambda value: limits.check_message_delay("delay", value, LIMITS), 0, 900),
    (lambda value: limits.check_claim_ttl(value, LIMITS), 60, 43_200),
    (lambda value: limits.check_claim_grace(value, LIMITS), 60, 43_200),
    (lambda value: limits.check_count("limit", value, 20), 1, 20),
]


@pytest.mark.parametrize(("check", "low", "high"), RANGES)
def test_both_ends_are_allowed_and_their_neighbours_refused_with_the_range(
    check: Callable[[int], int], low: int, high: int
) -> None:
    assert (check(low), check(high)) == (low, high)
    for value in (low - 1, high + 1, 10**30):
        with pytest.raises(InvalidRequest, match=f"between {low} and {high}, but is {value}"):
            check(value)
