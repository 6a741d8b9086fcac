"""What a lane does next: decided by looking, without doing anything."""

from __future__ import annotations

from collections.abc import Sequence

from queues import plans
from queues.deliveries import Place
from queues.lanes import Lane
from queues.model import Media
from queues.outboxes import Posted
from queues.plans import Next, Plan, Result
from queues.retries import Verdict

NOW_MS = 1_000_000
LANE = Lane(after="k0")


def ahead(*dues: int) -> list[Next]:
    """Return messages, each a post of its own, that are due so many ms from now."""
    return [
        Next(
            Place("s", f"{number:014x}", 0),
            Posted(0, b"1", Media.JSON, 60, None, NOW_MS, NOW_MS + due, "ann"),
            1,
        )
        for number, due in enumerate(dues)
    ]


def plan(messages: Sequence[Next], *, ordered: bool = False, window: int = 8) -> Plan:
    return plans.make(
        messages,
        lambda one: True,
        ordered=ordered,
        window=window,
        now_ms=NOW_MS,
        hopeless_ms=NOW_MS - 100,
    )


def test_what_is_due_is_attempted_up_to_the_window() -> None:
    messages = ahead(0, 0, 0)
    assert plan(messages) == Plan(messages, [], [], messages)
    assert plan(messages, window=2) == Plan(messages[:2], [], [], messages[:2])
    assert plan(messages, ordered=True) == Plan(messages[:1], [], [], messages[:1])


def test_what_is_delayed_is_put_aside_and_holds_up_nothing() -> None:
    messages = ahead(5, 0, 5)
    made = plan(messages)
    assert (made.attempts, made.aside) == ([messages[1]], [messages[0], messages[2]])
    assert made.passed == messages


def test_an_ordered_lane_waits_for_a_delay() -> None:
    messages = ahead(5, 0)
    assert plan(messages, ordered=True) == Plan([], [], [], [], NOW_MS + 5)


def test_what_is_hopeless_is_given_up() -> None:
    messages = ahead(-100, -99)
    assert plan(messages) == Plan([messages[1]], [], [messages[0]], messages)


def test_what_is_settled_is_passed() -> None:
    messages = ahead(0, 0)
    made = plans.make(
        messages,
        lambda one: one is not messages[0],
        ordered=True,
        window=1,
        now_ms=NOW_MS,
        hopeless_ms=0,
    )
    assert made == Plan([messages[1]], [], [], messages)


def after(
    messages: Sequence[Next], *results: Result, ordered: bool = False, lane: Lane = LANE
) -> Lane:
    made = plan(messages, ordered=ordered)
    return plans.lane_after(lane, made, results, ordered=ordered, now_ms=NOW_MS)


DELIVERED, REFUSED = Result(Verdict.DELIVERED, None), Result(Verdict.REFUSED, None)
LATER, NEVER = Result(Verdict.RETRY, NOW_MS + 5), Result(Verdict.RETRY, None)


def test_the_lane_passes_what_failed_as_it_is_tried_again_by_itself() -> None:
    messages = ahead(0, 0)
    lane = after(messages, LATER, LATER)
    assert lane == Lane(after=messages[1].place.outbox_key, failures=2)


def test_an_ordered_lane_stays_before_what_failed() -> None:
    lane = after(ahead(0), LATER, ordered=True)
    assert lane == LANE._replace(failures=1, quiet_until_ms=NOW_MS + 5)


def test_an_ordered_lane_passes_what_is_never_tried_again() -> None:
    messages = ahead(0)
    for result in (NEVER, REFUSED, DELIVERED):
        lane = after(messages, result, ordered=True)
        assert lane.after == messages[0].place.outbox_key


def test_any_answer_shows_that_the_receiver_is_there() -> None:
    failing = LANE._replace(failures=9, quiet_until_ms=5)
    for result in (DELIVERED, REFUSED):
        lane = after(ahead(0, 0), LATER, result, lane=failing)
        assert (lane.failures, lane.quiet_until_ms) == (0, 0)
