"""Whether and when a notification is sent again: Zaqar's schedule, and ours for days.

A schedule has four stages, each of which may be empty: at once, after the minimum delay,
after delays that grow from the minimum to the maximum, and after the maximum delay. Source of
names, defaults and growth: the Zaqar v2 API, attribute `_retry_policy`. Without any policy a
fifth stage goes on for three days, so that a receiver may be away for a weekend.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from queues.errors import InvalidRequest
from queues.limits import check_range

#: Delays of the fifth stage, in seconds: three days in all.
LONG_STAGE = (60, 120, 300, 600, 1800, 3600, 7200, 14_400, *[21_600] * 11)

#: A receiver that asks for more patience than this is tried again after it.
MAX_RETRY_AFTER_S = 86_400

_BACKOFF_FUNCTIONS = ("linear", "arithmetic", "geometric", "exponential")
_INTEGERS = (
    "retries_with_no_delay",
    "minimum_delay_retries",
    "minimum_delay",
    "maximum_delay",
    "maximum_delay_retries",
)
_STEP_S = 5
#: A delay is lengthened by up to this part of itself, so that failures do not come in waves.
_JITTER = 0.25

#: Statuses below 500 that say "later", not "never".
_LATER = frozenset({408, 425, 429})


class Verdict(StrEnum):
    """What an attempt came to."""

    DELIVERED = "delivered"
    #: To be tried again.
    RETRY = "retry"
    #: Never to be tried again by itself: a dead letter.
    REFUSED = "refused"
    #: The receiver is gone for good, and so is the subscription.
    GONE = "gone"


class Outcome(NamedTuple):
    """What became of one attempt: the status of an answer, or an error without one.

    `permanent` marks an error that trying again cannot mend.
    """

    status: int | None
    error: str = ""
    retry_after_s: float | None = None
    permanent: bool = False


def verdict(outcome: Outcome) -> Verdict:
    """Judge an attempt. Redirects are not followed, so they refuse."""
    status = outcome.status
    if status is None:
        return Verdict.REFUSED if outcome.permanent else Verdict.RETRY
    if 200 <= status < 300:
        return Verdict.DELIVERED
    if status == 410:
        return Verdict.GONE
    return Verdict.RETRY if status >= 500 or status in _LATER else Verdict.REFUSED


def check(name: str, value: object) -> None:
    """Refuse what is no `_retry_policy`; keys that mean nothing are let through, as in Zaqar.

    Raises: InvalidRequest naming the key under `name`.
    """
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{name} must be an object.")
    for key in _INTEGERS:
        if value.get(key) is not None:
            number = value[key]
            if isinstance(number, bool) or not isinstance(number, int):
                raise InvalidRequest(f"{name}.{key} must be an integer.")
            check_range(f"{name}.{key}", number, 0, 2**31 - 1)
    if value.get("retry_backoff_function", "linear") not in _BACKOFF_FUNCTIONS:
        raise InvalidRequest(
            f"{name}.retry_backoff_function must be one of {', '.join(_BACKOFF_FUNCTIONS)}."
        )
    if not isinstance(value.get("ignore_subscription_override", False), bool):
        raise InvalidRequest(f"{name}.ignore_subscription_override must be true or false.")
    if value and _maximum_s(value) - _minimum_s(value) < 10:
        raise InvalidRequest(
            f"{name}.maximum_delay must be at least 10 seconds above minimum_delay."
        )


def effective(
    subscription: Mapping[str, Any] | None, queue: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    """Return which policy holds: the subscription's, unless one of the two says otherwise."""
    own, of_queue = subscription or {}, queue or {}
    if any(policy.get("ignore_subscription_override") for policy in (own, of_queue)):
        return of_queue
    return own or of_queue


def delay_ms(policy: Mapping[str, Any], failures: int, chance: float) -> int | None:
    """Return how long to wait after so many failures, or None to give up.

    `chance` is from 0 to 1 and chooses the jitter: never earlier than the policy says, and
    at most a quarter later.
    """
    delay_s = _delay_s(policy, failures - 1)
    return None if delay_s is None else round(delay_s * 1000 * (1 + _JITTER * chance))


def patience_ms(outcome: Outcome) -> int:
    """Return for how long the receiver asked to be left alone; 0 if it did not."""
    # NOTE: NaN and negative numbers compare false.
    asked_s = outcome.retry_after_s or 0
    return round(min(asked_s, MAX_RETRY_AFTER_S) * 1000) if asked_s > 0 else 0


def _delay_s(policy: Mapping[str, Any], retry: int) -> float | None:
    minimum_s, maximum_s = _minimum_s(policy), _maximum_s(policy)
    growing = _steps(policy)
    stages = (
        (_count(policy, "retries_with_no_delay"), lambda step: 0.0),
        (_count(policy, "minimum_delay_retries"), lambda step: minimum_s),
        (growing, lambda step: _growing_s(policy, step, growing)),
        (_count(policy, "maximum_delay_retries"), lambda step: maximum_s),
        (0 if policy else len(LONG_STAGE), lambda step: LONG_STAGE[step]),
    )
    for length, delay_s in stages:
        if retry < length:
            return delay_s(retry)
        retry -= length
    return None


def _count(policy: Mapping[str, Any], key: str) -> int:
    count = policy.get(key)
    return 3 if count is None else int(count)


def _minimum_s(policy: Mapping[str, Any]) -> int:
    return policy.get("minimum_delay") or 5


def _maximum_s(policy: Mapping[str, Any]) -> int:
    return policy.get("maximum_delay") or 30


def _steps(policy: Mapping[str, Any]) -> int:
    spread_s = _maximum_s(policy) - _minimum_s(policy)
    linear = policy.get("retry_backoff_function", "linear") == "linear"
    return math.ceil(spread_s / _STEP_S) if linear else spread_s // _STEP_S


def _growing_s(policy: Mapping[str, Any], step: int, steps: int) -> float:
    """Return the delay of a step, from 0: the minimum at first, near the maximum at last."""
    minimum_s, maximum_s = _minimum_s(policy), _maximum_s(policy)
    function = policy.get("retry_backoff_function", "linear")
    if function == "linear":
        return minimum_s + _STEP_S * step
    if function == "arithmetic":
        return minimum_s + (maximum_s - minimum_s) * step * (step + 1) // (steps * (steps - 1))
    # Zaqar's geometric and exponential functions are the same.
    return int(minimum_s * (maximum_s / minimum_s) ** (step / (steps - 1)))
