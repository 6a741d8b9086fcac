"""Receivers that fail, refuse, hang or are away: tried again in time, and nobody held up."""

from __future__ import annotations

import pytest

from queues.deliveries import State
from queues.operations import Operations
from queues.retries import Outcome
from tests.clock import MovableClock
from tests.operations.calls import PROJECT, QUEUE
from tests.operations.delivering import (
    deliveries,
    patch_retry_policy,
    say,
    until,
    until_all,
    until_attempts,
    until_nothing_is_due,
    until_quiet,
    until_state,
)
from tests.operations.receivers import AWAY, OK, Post, settle, working
from tests.operations.subscribing import HOOK, OTHER, move, subscribe
from tests.transport.faults import FaultyStorage


async def test_what_fails_is_tried_again_in_time_and_holds_up_nothing(
    sender: Operations, post_office: Post, clock: MovableClock
) -> None:
    made = await subscribe(sender, _retry_policy={"retries_with_no_delay": 1})
    failing = {"left": 3}

    def answer(document: dict[str, int]) -> Outcome:
        if document["body"] == 1 and failing["left"]:
            failing["left"] -= 1
            return Outcome(503)
        return OK

    post_office.answers[HOOK] = answer
    async with working(sender):
        await say(sender, 1, 2)
        await until_attempts(sender, made, 2)
        first, _ = await until_state(sender, made, State.PENDING, State.DELIVERED)
        assert first.due_ms is not None
        assert 5000 <= first.due_ms - clock.now_ms() <= 6250
        await settle(sender, clock, s=6.25)
        await post_office.until(HOOK, 4)
        await settle(sender, clock, s=6.25)
        await post_office.until(HOOK, 5)
        first, _ = await until_state(sender, made, State.DELIVERED, State.DELIVERED)
    assert [attempt.status for attempt in first.delivery.attempts] == [503, 503, 503, 200]
    assert post_office.bodies(HOOK).count(2) == 1
    ids = {parcel.letter.headers["webhook-id"] for parcel in post_office.to(HOOK)}
    assert len(ids) == 2, "an attempt bears the id of the first one"


@pytest.mark.parametrize("status", [400, 404, 301, 405])
async def test_what_is_refused_is_a_dead_letter_at_once(
    sender: Operations, post_office: Post, status: int
) -> None:
    made = await subscribe(sender)
    post_office.answer(HOOK, Outcome(status))
    async with working(sender):
        await say(sender, 1)
        (letter,) = await until_state(sender, made, State.FAILED)
    assert [attempt.status for attempt in letter.delivery.attempts] == [status]
    assert letter.due_ms is None


async def test_what_never_succeeds_is_a_dead_letter_when_the_policy_ends(
    sender: Operations, post_office: Post, clock: MovableClock
) -> None:
    quick = {
        "retries_with_no_delay": 2,
        "minimum_delay_retries": 0,
        "maximum_delay_retries": 1,
    }
    await patch_retry_policy(sender, quick)
    made = await subscribe(sender)
    post_office.answer(HOOK, AWAY)
    async with working(sender):
        await say(sender, 1)
        for number in range(3, 9):
            await post_office.until(HOOK, number)
            await until_attempts(sender, made, number)
            await settle(sender, clock, s=60)
        (letter,) = await until_state(sender, made, State.FAILED)
    assert len(letter.delivery.attempts) == 1 + 2 + 5 + 1
    assert {attempt.error for attempt in letter.delivery.attempts} == {"nobody listens"}


async def test_a_receiver_that_is_gone_ends_its_subscription(
    sender: Operations, post_office: Post
) -> None:
    made = await subscribe(sender)
    post_office.answer(HOOK, Outcome(410))
    async with working(sender):
        await say(sender, 1)
        await until_state(sender, made, State.FAILED)
        found = await sender.subscriptions.get(PROJECT, QUEUE, made)
        assert found.state == "gone"
        await say(sender, 2)
        await until_nothing_is_due(sender)
    assert post_office.bodies(HOOK) == [1]


async def test_an_address_that_is_gone_ends_nothing_that_has_moved_away_from_it(
    sender: Operations, post_office: Post
) -> None:
    made = await subscribe(sender)
    post_office.answer(HOOK, Outcome(410))
    gate = post_office.hold(HOOK)
    async with working(sender):
        await say(sender, 1)
        await post_office.until(HOOK, 1)
        await move(sender, made, OTHER)
        gate.set()
        await until_state(sender, made, State.FAILED)
        await say(sender, 2)
        await post_office.until(OTHER, 1)
    assert post_office.bodies(OTHER) == [2]


async def test_a_receiver_that_asks_for_patience_gets_it(
    sender: Operations, post_office: Post, clock: MovableClock
) -> None:
    made = await subscribe(sender)
    post_office.answer(HOOK, Outcome(429, retry_after_s=120), OK)
    async with working(sender):
        await say(sender, 1)
        await post_office.until(HOOK, 1)
        (one,) = await until_state(sender, made, State.PENDING)
        assert one.due_ms == clock.now_ms() + 120_000
        await settle(sender, clock, s=120)
        await until_state(sender, made, State.DELIVERED)


async def test_a_slow_receiver_delays_nobody_else(
    sender: Operations, post_office: Post
) -> None:
    await subscribe(sender)
    await subscribe(sender, OTHER)
    gate = post_office.hold(HOOK)
    async with working(sender):
        await say(sender, *range(20))
        await post_office.until(OTHER, 20)
        assert len(post_office.to(HOOK)) == 1
        gate.set()
        await post_office.until(HOOK, 20)


async def test_a_receiver_that_is_away_is_asked_for_rarely_however_much_waits(
    sender: Operations, post_office: Post, faulty: FaultyStorage, clock: MovableClock
) -> None:
    await subscribe(sender)
    post_office.answer(HOOK, AWAY)
    await say(sender, *range(200))
    async with working(sender):
        await until_quiet(sender, faulty, clock)
        tried = set(post_office.bodies(HOOK))
        assert len(tried) == 5
        post_office.answer(HOOK, OK)
        await settle(sender, clock, s=700)
        await until_all(post_office, 200)
    assert set(post_office.bodies(HOOK)) == set(range(200))


async def test_what_was_put_aside_leaves_a_receiver_alone_that_is_away(
    sender: Operations, post_office: Post, faulty: FaultyStorage, clock: MovableClock
) -> None:
    policy = {"retries_with_no_delay": 0, "minimum_delay": 1, "maximum_delay": 11}
    made = await subscribe(sender, _retry_policy=policy)
    post_office.answer(HOOK, AWAY)
    await say(sender, *range(5))
    async with working(sender):
        await until_quiet(sender, faulty, clock)
        await settle(sender, clock, s=2)

        async def check() -> bool:
            dues = [one.due_ms or 0 for one in await deliveries(sender, made)]
            return min(dues) >= clock.now_ms() + 3000

        await until(check)
    assert len(post_office.sent) == 5
