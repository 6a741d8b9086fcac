"""When a notification is sent again: Zaqar's schedule to the second, and ours for days."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queues import retries
from queues.retries import LONG_STAGE, Outcome, Verdict

DAY_S = 86_400


def schedule(policy: dict[str, Any]) -> list[int]:
    """Return the delays of all retries, in seconds."""
    found: list[int] = []
    while (delay_ms := retries.delay_ms(policy, len(found) + 1, 0)) is not None:
        found.append(delay_ms // 1000)
    return found


def test_without_a_policy_zaqars_schedule_goes_on_for_three_days() -> None:
    zaqars = [0, 0, 0, 5, 5, 5, 5, 10, 15, 20, 25, 30, 30, 30]
    assert schedule({}) == [*zaqars, *LONG_STAGE]
    assert 3 * DAY_S <= sum(schedule({})) <= 3.2 * DAY_S


def test_a_policy_is_kept_to_the_letter() -> None:
    policy = {
        "retries_with_no_delay": 1,
        "minimum_delay_retries": 2,
        "minimum_delay": 10,
        "maximum_delay": 22,
        "maximum_delay_retries": 1,
    }
    assert schedule(policy) == [0, 10, 10, 10, 15, 20, 22]
    assert schedule({**policy, "retries_with_no_delay": 0, "minimum_delay_retries": 0}) == [
        *(10, 15, 20),
        22,
    ]


@pytest.mark.parametrize(
    ("function", "growing"),
    [
        ("linear", [5, 10, 15, 20, 25]),
        ("arithmetic", [5, 7, 12, 20, 30]),
        ("geometric", [5, 7, 12, 19, 30]),
        ("exponential", [5, 7, 12, 19, 30]),
    ],
)
def test_delays_grow_as_zaqars_do(function: str, growing: list[int]) -> None:
    policy = {"retry_backoff_function": function, "maximum_delay": 30}
    assert schedule(policy)[6:11] == growing


@given(
    st.integers(1, 100),
    st.integers(10, 1000),
    st.sampled_from(["linear", "arithmetic", "geometric", "exponential"]),
)
def test_delays_never_shrink_and_stay_between_the_two(
    minimum: int, spread: int, function: str
) -> None:
    policy = {
        "retries_with_no_delay": 0,
        "minimum_delay": minimum,
        "maximum_delay": minimum + spread,
        "retry_backoff_function": function,
    }
    delays = schedule(policy)
    assert delays == sorted(delays)
    assert delays[0] == minimum
    assert delays[-1] == minimum + spread
    assert len(delays) <= 6 + spread // 5 + 1


@given(st.integers(1, 40), st.floats(0, 1))
def test_jitter_makes_a_delay_longer_by_a_quarter_at_most(failures: int, chance: float) -> None:
    plain, jittered = (retries.delay_ms({}, failures, one) for one in (0, chance))
    if plain is None or jittered is None:
        assert plain is jittered is None
    else:
        assert plain <= jittered <= 1.25 * plain + 1


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome(200), Verdict.DELIVERED),
        (Outcome(204), Verdict.DELIVERED),
        (Outcome(299), Verdict.DELIVERED),
        (Outcome(301), Verdict.REFUSED),
        (Outcome(400), Verdict.REFUSED),
        (Outcome(401), Verdict.REFUSED),
        (Outcome(404), Verdict.REFUSED),
        (Outcome(408), Verdict.RETRY),
        (Outcome(410), Verdict.GONE),
        (Outcome(425), Verdict.RETRY),
        (Outcome(429), Verdict.RETRY),
        (Outcome(500), Verdict.RETRY),
        (Outcome(503), Verdict.RETRY),
        (Outcome(None, "away"), Verdict.RETRY),
        (Outcome(None, "no", permanent=True), Verdict.REFUSED),
    ],
)
def test_an_answer_says_now_later_or_never(outcome: Outcome, expected: Verdict) -> None:
    assert retries.verdict(outcome) is expected


@pytest.mark.parametrize(
    ("asked_s", "given_ms"),
    [(None, 0), (0, 0), (-5, 0), (1.5, 1500), (DAY_S, DAY_S * 1000), (1e18, DAY_S * 1000)],
)
def test_patience_is_given_for_a_day_at_most(asked_s: float | None, given_ms: int) -> None:
    assert retries.patience_ms(Outcome(503, retry_after_s=asked_s)) == given_ms
    assert retries.patience_ms(Outcome(503, retry_after_s=float("nan"))) == 0


MINE, QUEUES = {"minimum_delay": 7}, {"minimum_delay": 9}
OVERRIDE = {"ignore_subscription_override": True}


@pytest.mark.parametrize(
    ("subscription", "queue", "expected"),
    [
        (None, None, {}),
        (MINE, None, MINE),
        (None, QUEUES, QUEUES),
        ({}, QUEUES, QUEUES),
        (MINE, QUEUES, MINE),
        (MINE, {**QUEUES, **OVERRIDE}, {**QUEUES, **OVERRIDE}),
        ({**MINE, **OVERRIDE}, QUEUES, QUEUES),
        ({**MINE, **OVERRIDE}, None, {}),
    ],
)
def test_the_queue_may_have_the_last_word(
    subscription: Any, queue: Any, expected: dict[str, Any]
) -> None:
    assert retries.effective(subscription, queue) == expected
