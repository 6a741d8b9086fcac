"""One subscription for each address, and posts that know of it, whoever races or is killed."""

from __future__ import annotations

import asyncio

import pytest

from queues.errors import StorageUnavailable, SubscriptionExists
from queues.model import RecordKind
from queues.operations import Operations
from queues.operations.subscribers import PATIENCE_MS
from tests.clock import MovableClock
from tests.operations.calls import PROJECT, QUEUE, post
from tests.operations.subscribing import (
    HOOK,
    OTHER,
    move,
    records,
    subscribe,
    subscriptions,
)
from tests.transport.faults import FaultyStorage


class Killed(Exception):
    """The process ends here."""


def kill_after(storage: FaultyStorage, name: str, number: int = 1) -> None:
    """Let the call of that name, and number, be the last one of its process."""
    left = number

    async def after(called: str) -> None:
        nonlocal left
        left -= called == name
        if left == 0 and called == name:
            raise Killed

    storage.after = after


async def killed(storage: FaultyStorage, name: str, number: int, step: object) -> None:
    kill_after(storage, name, number)
    with pytest.raises(Killed):
        await step  # type: ignore[misc]
    storage.recover()


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_whoever_is_killed_while_subscribing_leaves_nothing_in_the_way(
    operations: Operations, elsewhere: Operations, faulty: FaultyStorage, number: int
) -> None:
    await killed(faulty, "records.create", number, subscribe(operations))
    made = await subscribe(elsewhere)
    assert [one.id for one in await subscriptions(operations)] == [made]
    assert await subscribe(operations) == made


async def test_processes_that_subscribe_the_same_at_once_make_one(
    operations: Operations, elsewhere: Operations
) -> None:
    made = await asyncio.gather(
        *(subscribe(one) for one in (operations, elsewhere) for _ in range(10))
    )
    assert len(set(made)) == len(await subscriptions(operations)) == 1


async def test_an_address_that_moves_is_free_and_the_new_one_taken_in_every_process(
    operations: Operations, elsewhere: Operations
) -> None:
    made = await subscribe(operations)
    await move(elsewhere, made, OTHER)
    assert await subscribe(operations, OTHER) == made
    again = await subscribe(elsewhere, HOOK)
    assert again != made
    with pytest.raises(SubscriptionExists):
        await move(operations, again, OTHER)


async def test_of_two_who_want_one_address_one_gets_it(
    operations: Operations, elsewhere: Operations
) -> None:
    one = await subscribe(operations, f"{HOOK}/1")
    two = await subscribe(operations, f"{HOOK}/2")
    outcomes = await asyncio.gather(
        move(operations, one, HOOK),
        move(elsewhere, two, HOOK),
        subscribe(elsewhere, HOOK),
        return_exceptions=True,
    )
    holders = [found for found in await subscriptions(operations) if found.subscriber == HOOK]
    assert len(holders) == 1
    refusals = [one for one in outcomes if isinstance(one, Exception)]
    assert all(isinstance(one, SubscriptionExists | StorageUnavailable) for one in refusals)


async def test_what_a_killed_move_has_reserved_is_free_after_a_while(
    operations: Operations,
    elsewhere: Operations,
    faulty: FaultyStorage,
    clock: MovableClock,
) -> None:
    made = await subscribe(operations)
    await killed(faulty, "records.create", 1, move(operations, made, OTHER))
    with pytest.raises(StorageUnavailable):
        await subscribe(elsewhere, OTHER)
    clock.advance(ms=PATIENCE_MS)
    assert await subscribe(elsewhere, OTHER) != made
    assert await subscribe(elsewhere, HOOK) == made


async def test_an_address_whose_subscription_ends_just_now_is_taken(
    operations: Operations, faulty: FaultyStorage, clock: MovableClock
) -> None:
    made = await subscribe(operations, ttl_s=60)

    async def after(called: str) -> None:
        if called == "records.create":
            faulty.recover()
            clock.advance(s=60)

    faulty.after = after
    async with asyncio.timeout(5):
        assert await subscribe(operations) != made


async def test_a_deletion_that_races_with_a_creation_leaves_one_or_none(
    operations: Operations, elsewhere: Operations
) -> None:
    for _ in range(20):
        made = await subscribe(operations)
        await asyncio.gather(
            operations.subscriptions.delete(PROJECT, QUEUE, made), subscribe(elsewhere)
        )
        found = await subscriptions(operations)
        assert len(found) <= 1
        again = await subscribe(elsewhere)
        assert [one.id for one in await subscriptions(operations)] == [again]


async def test_a_post_after_a_subscription_elsewhere_leaves_a_record_for_it(
    operations: Operations,
    elsewhere: Operations,
    faulty: FaultyStorage,
    clock: MovableClock,
) -> None:
    await post(operations)
    assert await records(faulty, RecordKind.OUTBOX, clock.now_ms()) == []
    made = await subscribe(elsewhere)
    await post(operations)
    (outbox,) = await records(faulty, RecordKind.OUTBOX, clock.now_ms())
    assert outbox.due_ms == clock.now_ms()
    await elsewhere.subscriptions.delete(PROJECT, QUEUE, made)
    await post(operations)
    assert len(await records(faulty, RecordKind.OUTBOX, clock.now_ms())) == 1


async def test_a_queue_that_comes_back_is_known_to_have_subscriptions(
    operations: Operations, faulty: FaultyStorage, clock: MovableClock
) -> None:
    await subscribe(operations)
    await operations.queues.delete(PROJECT, QUEUE)
    await post(operations)
    assert len(await records(faulty, RecordKind.OUTBOX, clock.now_ms())) == 1


async def test_what_belongs_to_a_subscription_goes_with_it(
    operations: Operations, faulty: FaultyStorage, clock: MovableClock
) -> None:
    made = await subscribe(operations)
    await operations.subscriptions.delete(PROJECT, QUEUE, made)
    await subscribe(operations, ttl_s=60)
    clock.advance(s=60)
    for kind in (RecordKind.SUBSCRIPTION, RecordKind.SUBSCRIBER, RecordKind.LANE):
        assert await records(faulty, kind, clock.now_ms()) == []
