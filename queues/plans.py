"""What a lane does next, and where that leads it: decisions without any doing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from queues.deliveries import Place
from queues.lanes import Lane
from queues.outboxes import Posted
from queues.retries import Verdict


class Next(NamedTuple):
    """A message that the lane has not passed, of a post of `size` messages."""

    place: Place
    message: Posted
    size: int


class Plan(NamedTuple):
    """What to do with the next messages.

    Of those `passed`, some are attempted now, some put `aside` until their delay is over, some
    given up as `hopeless`; of the others nothing is left to do. An ordered lane goes on at
    `wait_until_ms` if that is not 0.
    """

    attempts: list[Next]
    aside: list[Next]
    hopeless: list[Next]
    passed: list[Next]
    wait_until_ms: int = 0


class Result(NamedTuple):
    """What an attempt came to, and when the message is tried again, if it is."""

    verdict: Verdict
    due_ms: int | None


def make(
    messages: Sequence[Next],
    is_open: Callable[[Next], bool],
    *,
    ordered: bool,
    window: int,
    now_ms: int,
    hopeless_ms: int,
) -> Plan:
    """Plan a round of up to `window` attempts, of one in an ordered lane.

    What was due at or before `hopeless_ms` is given up.
    """
    plan = Plan([], [], [], [])
    for one in messages:
        due_ms = one.message.due_ms
        if not is_open(one):
            chosen = None
        elif due_ms <= hopeless_ms:
            chosen = plan.hopeless
        elif due_ms <= now_ms:
            chosen = plan.attempts
        elif ordered:
            return plan._replace(wait_until_ms=due_ms)
        else:
            chosen = plan.aside
        if chosen is not None:
            chosen.append(one)
        plan.passed.append(one)
        if len(plan.attempts) == (1 if ordered else window):
            break
    return plan


def lane_after(
    lane: Lane, plan: Plan, results: Sequence[Result], *, ordered: bool, now_ms: int
) -> Lane:
    """Return where the lane is when the plan is carried out."""
    passed = plan.passed
    again_ms = [one.due_ms for one in results if one.due_ms is not None]
    if ordered and again_ms:
        # NOTE: an ordered lane stops behind what it attempts.
        passed = passed[:-1]
    if passed:
        last = passed[-1]
        lane = lane.passed(last.place.outbox_key, last.place.number + 1, last.size)
    if any(one.verdict is not Verdict.RETRY for one in results):
        return lane.succeeded()
    if ordered and again_ms:
        return lane._replace(failures=lane.failures + 1, quiet_until_ms=again_ms[-1])
    return lane.failed(len(results), now_ms) if results else lane
