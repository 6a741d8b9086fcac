"""The life of a wait handle, without store and clock."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from queues import signal_documents, signals
from queues.errors import InvalidRequest
from queues.limits import Limits
from queues.signals import (
    Contribution,
    Handle,
    Outcome,
    Progress,
    Signal,
    State,
    Status,
    Target,
    Terms,
)

NOW_MS = 1_700_000_000_000
FAILURE = Status.FAILURE
TARGET = Target(queue="done")


def handle(count: int = 1, timeout_s: int = 60, **terms: Any) -> Handle:
    return Handle("a" * 32, Terms(count, timeout_s, **terms), NOW_MS, NOW_MS)


def success(sender: str) -> Signal:
    return Signal(id=sender)


def failure(sender: str, reason: str | None = None) -> Signal:
    return Signal(FAILURE, reason, sender)


def after(start: Handle, *sent: Signal, now_ms: int = NOW_MS) -> Handle:
    """Return the handle after each signal has had what effect it can have."""
    for signal in sent:
        if signals.standing(start, signal) is Outcome.ACCEPTED:
            start = signals.received(start, signal, now_ms)
    return start


def test_as_many_successes_as_wanted_end_the_wait() -> None:
    first = after(handle(2), success("a"))
    assert (first.state, first.senders, first.ended_ms) == (State.IN_PROGRESS, ("a",), None)
    second = after(first, success("b"), now_ms=NOW_MS + 5)
    assert (second.state, second.senders, second.ended_ms) == (
        State.SUCCESS,
        ("a", "b"),
        NOW_MS + 5,
    )
    assert second.reason == "2 of 2 signals were received."


def test_the_same_sender_never_counts_twice() -> None:
    once = after(handle(2), success("a"))
    assert signals.standing(once, success("a")) is Outcome.REPEATED
    assert signals.received(once, success("a"), NOW_MS + 1) is once


def test_one_failure_ends_the_wait_at_once() -> None:
    failed = after(handle(3), success("a"), failure("b", "disk full"))
    assert (failed.state, failed.reason, failed.failed_by) == (
        State.FAILURE,
        "disk full",
        "b",
    )
    assert failed.contributors == ("a", "b")
    assert after(handle(), failure("b")).reason == "b reported a failure."


def test_a_failure_after_a_success_of_the_same_sender_is_news() -> None:
    failed = after(handle(2), success("a"), failure("a"))
    assert failed.state is State.FAILURE
    assert failed.contributors == ("a",)


def test_a_long_reason_is_cut_in_the_handle() -> None:
    assert len(after(handle(), failure("b", "x" * 100_000)).reason or "") == 1000


def test_what_has_ended_never_changes() -> None:
    for ended in (
        after(handle(), success("a")),
        after(handle(), failure("a")),
        signals.settled(handle(), NOW_MS + 60_000),
    ):
        assert signals.settled(ended, NOW_MS + 10**9) is ended
        for late in (success("z"), failure("z"), Signal(), Signal(Status.IN_PROGRESS)):
            assert signals.standing(ended, late) is Outcome.LATE


def test_a_repetition_is_told_from_a_late_signal_also_after_the_end() -> None:
    ended = after(handle(2), success("a"), success("b"))
    assert signals.standing(ended, success("a")) is Outcome.REPEATED
    assert signals.standing(ended, failure("a")) is Outcome.LATE
    failed = after(handle(2), success("a"), failure("b"))
    assert signals.standing(failed, failure("b")) is Outcome.REPEATED
    assert signals.standing(failed, success("a")) is Outcome.REPEATED
    assert signals.standing(failed, success("b")) is Outcome.LATE


def test_the_order_of_successes_does_not_matter() -> None:
    for order in permutations("abc"):
        ended = after(handle(3), *map(success, order))
        assert (ended.state, sorted(ended.senders)) == (State.SUCCESS, ["a", "b", "c"])


def test_the_deadline_ends_the_wait_to_the_millisecond() -> None:
    waiting = after(handle(2), success("a"))
    assert signals.settled(waiting, NOW_MS + 59_999) is waiting
    over = signals.settled(waiting, NOW_MS + 90_000)
    assert (over.state, over.ended_ms) == (State.TIMEOUT, NOW_MS + 60_000)
    assert over.reason == "The deadline passed after 60 s; 1 of 2 signals were received."


def test_silence_ends_the_wait_before_the_deadline() -> None:
    waiting = handle(2, heartbeat_s=10)
    over = signals.settled(waiting, NOW_MS + 10_000)
    assert (over.state, over.ended_ms) == (State.TIMEOUT, NOW_MS + 10_000)
    assert over.reason == "There was no heartbeat for 10 s; 0 of 2 signals were received."


@pytest.mark.parametrize("sign", [Signal(Status.IN_PROGRESS), success("a")])
def test_any_sign_of_life_puts_silence_off_but_not_the_deadline(sign: Signal) -> None:
    alive = signals.received(handle(3, heartbeat_s=10), sign, NOW_MS + 9_000)
    assert alive.ends_ms == NOW_MS + 19_000
    last = signals.received(alive, sign._replace(id="b"), NOW_MS + 55_000)
    assert last.ends_ms == NOW_MS + 60_000
    over = signals.settled(last, NOW_MS + 60_000)
    assert (over.reason or "").startswith("The deadline passed after 60 s; ")


def test_a_sign_of_life_from_a_server_whose_clock_is_behind_shortens_nothing() -> None:
    alive = signals.received(handle(heartbeat_s=10), Signal(Status.IN_PROGRESS), NOW_MS - 5_000)
    assert alive.ends_ms == NOW_MS + 10_000


def test_progress_is_shown_and_counts_nothing() -> None:
    told = Signal(Status.IN_PROGRESS, "half way", "a", {"percent": 50})
    shown = after(handle(), told, now_ms=NOW_MS + 1)
    assert shown.progress == Progress("a", "half way", {"percent": 50}, NOW_MS + 1)
    assert (shown.state, shown.senders) == (State.IN_PROGRESS, ())


def test_what_is_to_be_done_by_itself_is_due_at_its_time() -> None:
    waiting = handle(heartbeat_s=10, notify=TARGET)
    assert signals.due_ms(waiting, NOW_MS) == NOW_MS + 10_000
    ended = after(waiting, success("a"))
    assert ended.is_to_be_told
    assert signals.due_ms(ended, NOW_MS) == NOW_MS
    tried = replace(ended, attempts=3)
    assert signals.due_ms(tried, NOW_MS) == NOW_MS + 8_000
    often = replace(ended, attempts=1000)
    assert signals.due_ms(often, NOW_MS) == NOW_MS + 3_600_000
    assert signals.due_ms(replace(ended, told=True), NOW_MS) is None
    assert signals.due_ms(after(handle(), success("a")), NOW_MS) is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (Terms(0, 60), "count"),
        (Terms(1001, 60), "count"),
        (Terms(1, 0), "timeout"),
        (Terms(1, 31_536_001), "timeout"),
        (Terms(1, 60, heartbeat_s=0), "heartbeat"),
        (Terms(1, 60, heartbeat_s=61), "heartbeat"),
        (Terms(1, 60, notify=Target()), "notify"),
        (Terms(1, 60, notify=Target("q", "https://example.org/")), "notify"),
        (Terms(1, 60, notify=Target("no/queue")), r"notify\.queue"),
        (Terms(1, 60, notify=Target(webhook="mailto:a@example.org")), r"notify\.webhook"),
        (Terms(1, 60, notify=Target(webhook="trust+https://h/")), r"notify\.webhook"),
        (Terms(1, 60, notify=Target(webhook="https://")), r"notify\.webhook"),
        (Terms(1, 60, notify=Target(webhook="https://u:p@h/")), r"notify\.webhook"),
    ],
)
def test_what_nobody_can_wait_for_is_refused_by_name(wrong: Terms, field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}"):
        signals.check(wrong, Limits())


@pytest.mark.parametrize(
    "terms",
    [
        Terms(1, 1),
        Terms(1000, 31_536_000, heartbeat_s=1, notify=TARGET),
        Terms(1, 1, notify=Target(webhook="https://example.org/hook")),
    ],
)
def test_the_ends_of_the_ranges_are_allowed(terms: Terms) -> None:
    signals.check(terms, Limits())


@pytest.mark.parametrize(
    "kept",
    [
        handle(),
        handle(5, heartbeat_s=3, data={"stack": ["ä", 1.5, None]}, notify=TARGET),
        after(handle(2), success("ä/b"), Signal(Status.IN_PROGRESS, "x", None, [1])),
        after(handle(3), success("a"), failure("b", "no")),
        replace(handle(), lineage=("1", "2"), url_expires_ms=7, told=True),
        replace(handle(notify=Target(webhook="https://h/")), secret="whsec_x"),
    ],
)
def test_a_handle_is_read_as_it_was_stored(kept: Handle) -> None:
    assert signal_documents.decoded(signal_documents.encoded(kept)) == kept


def test_what_somebody_said_is_read_as_it_was_stored() -> None:
    said = Contribution(FAILURE, None, {"log": "ä" * 3}, NOW_MS)
    stored = signal_documents.encoded_contribution(said)
    assert signal_documents.decoded_contribution(stored) == said


def test_who_is_told_of_the_end_learns_how_it_went() -> None:
    ended = after(handle(2, data={"stack": 7}), success("a"), failure("b", "no"))
    assert signals.summary("boot", ended) == {
        "signal": "boot",
        "state": "failure",
        "reason": "no",
        "count": 2,
        "received": 1,
        "data": {"stack": 7},
    }
