"""Bodies of what is delivered: kept as long as somebody may still need them."""

from __future__ import annotations

from queues import lanes
from queues.deliveries import State
from queues.limits import Limits
from queues.model import RecordKind
from queues.operations import Operations
from queues.operations.deliveries import Selection
from queues.operations.notifying import Notifying
from queues.retries import Outcome
from queues.storage import Storage
from tests.clock import MovableClock
from tests.operations.delivering import (
    SOURCE,
    say,
    until,
    until_attempts,
    until_state,
)
from tests.operations.receivers import AWAY, OK, Post, settle, working
from tests.operations.subscribing import HOOK, records, subscribe
from tests.transport.faults import FaultyStorage

DAY_S = 86_400
RETENTION_S = Limits().notification_retention_s
MONTH_S = 30 * DAY_S


async def until_failures(storage: Storage, clock: MovableClock, number: int) -> None:
    """Wait until the lane counts so many failures in a row."""

    async def check() -> bool:
        (lane,) = await records(storage, RecordKind.LANE, clock.now_ms())
        return lanes.read(lane).failures == number

    await until(check)


async def test_what_is_tried_for_longer_than_bodies_are_kept_has_its_body(
    sender: Operations, post_office: Post, clock: MovableClock
) -> None:
    made = await subscribe(sender, ttl_s=MONTH_S)
    post_office.answer(HOOK, *[Outcome(503, retry_after_s=DAY_S)] * 6, OK)
    async with working(sender):
        await say(sender, 1)
        for number in range(1, 7):
            await until_attempts(sender, made, number)
            await settle(sender, clock, s=DAY_S)
        await until_state(sender, made, State.DELIVERED)
    assert post_office.bodies(HOOK) == [1] * 7
    assert 6 * DAY_S > RETENTION_S


async def test_what_is_sent_again_has_its_body_for_as_long_as_at_first(
    sender: Operations, post_office: Post, clock: MovableClock
) -> None:
    made = await subscribe(sender, ttl_s=MONTH_S)
    post_office.answer(HOOK, Outcome(404), Outcome(503, retry_after_s=DAY_S), OK)
    async with working(sender):
        await say(sender, 1)
        (letter,) = await until_state(sender, made, State.FAILED)
        await settle(sender, clock, s=RETENTION_S - DAY_S / 2)
        await sender.deliveries.replay(SOURCE, made, Selection(ids=[letter.id]))
        await until_attempts(sender, made, 2)
        await settle(sender, clock, s=DAY_S)
        await until_state(sender, made, State.DELIVERED)
    assert post_office.bodies(HOOK) == [1] * 3


async def test_what_was_put_aside_for_too_long_is_a_dead_letter_with_its_body(
    faulty: FaultyStorage, post_office: Post, clock: MovableClock
) -> None:
    limits = Limits(notification_retention_s=80_000)
    sender = Operations(faulty, limits, clock, notifying=Notifying(outgoing=post_office))
    made = await subscribe(sender, ttl_s=MONTH_S)
    post_office.answer(HOOK, *[Outcome(503, retry_after_s=70_000)] * 5, AWAY)
    async with working(sender):
        await say(sender, *range(5))
        await until_failures(faulty, clock, 5)
        await settle(sender, clock, s=69_995)
        await say(sender, 5)
        await until_failures(faulty, clock, 6)
        await settle(sender, clock, s=6)
        listed = await until_state(sender, made, *[State.FAILED] * 5, State.PENDING)
        post_office.answer(HOOK, OK)
        await settle(sender, clock, s=3600)
        again = Selection(ids=[one.id for one in listed])
        await sender.deliveries.replay(SOURCE, made, again)
        await until_state(sender, made, *[State.DELIVERED] * 6)
    assert {len(one.delivery.attempts) for one in listed[:5]} == {2}
    assert listed[0].delivery.attempts[-1].error == "the receiver was away for too long"
