"""Lanes: each subscription has one, whoever subscribes, unsubscribes and looks at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from queues.model import RecordKind
from queues.operations import Operations
from queues.operations.subscribers import PATIENCE_MS
from tests.clock import MovableClock
from tests.operations.calls import PROJECT, QUEUE
from tests.operations.delivering import say, until
from tests.operations.receivers import Post, settle, working
from tests.operations.subscribing import HOOK, records, subscribe
from tests.transport.faults import FaultyStorage


class Killed(Exception):
    """The process ends here."""


def let(
    storage: FaultyStorage, name: str, number: int, step: Callable[[], Awaitable[None]]
) -> None:
    """Let `step` happen after the call of that name, and number."""
    left = number

    async def after(called: str) -> None:
        nonlocal left
        left -= called == name
        if left == 0 and called == name:
            storage.recover()
            await step()

    storage.after = after


async def test_a_lane_that_somebody_looks_at_before_there_is_a_subscription_stays(
    sender: Operations,
    other_sender: Operations,
    faulty: FaultyStorage,
    post_office: Post,
    clock: MovableClock,
) -> None:
    async def is_taken() -> bool:
        found = await records(faulty, RecordKind.LANE, clock.now_ms())
        return not found or found[0].due_ms != clock.now_ms()

    async def look() -> None:
        async with working(other_sender):
            await until(is_taken)

    let(faulty, "records.create", 2, look)
    await subscribe(sender)
    async with working(sender):
        await say(sender, 1)
        await post_office.until(HOOK, 1)


async def test_a_deletion_leaves_the_lane_to_whoever_subscribes_meanwhile(
    sender: Operations, other_sender: Operations, faulty: FaultyStorage, post_office: Post
) -> None:
    made = await subscribe(sender)
    again: list[str] = []

    async def come_back() -> None:
        again.append(await subscribe(other_sender))

    let(faulty, "records.delete", 1, come_back)
    await sender.subscriptions.delete(PROJECT, QUEUE, made)
    assert again == [made], "it goes on under the same id"
    async with working(sender):
        await say(sender, 1)
        await post_office.until(HOOK, 1)


async def test_a_lane_without_a_subscription_is_closed_after_a_while(
    sender: Operations, faulty: FaultyStorage, clock: MovableClock
) -> None:
    async def die() -> None:
        raise Killed

    let(faulty, "records.create", 2, die)
    with pytest.raises(Killed):
        await subscribe(sender)

    async def waits() -> bool:
        (lane,) = await records(faulty, RecordKind.LANE, clock.now_ms())
        return lane.due_ms == clock.now_ms() + PATIENCE_MS

    async def is_closed() -> bool:
        return not await records(faulty, RecordKind.LANE, clock.now_ms())

    async with working(sender):
        await until(waits)
        await settle(sender, clock, s=PATIENCE_MS / 1000)
        await until(is_closed)
