"""A move to a dead-letter queue takes steps in two slots, and a crash may come after each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from queues.errors import StorageUnavailable
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle
from tests.drivers.redis_storage import as_user, fresh_url, opened
from tests.factories import dead_letters, new_message
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.redis

#: Taking this away from a user ends a move after the message has left the source.
AFTER_LEAVING = "-hrandfield"
#: ... after it has arrived in the target, if nothing else has to be removed.
AFTER_ARRIVING = "-hdel"


@dataclass
class Interrupted:
    """A queue with one exhausted message, and who may do what."""

    server: RedisServer
    url: str
    orders: QueueHandle

    @property
    def dead(self) -> QueueHandle:
        return self.orders.on(queue="dead", version=77)

    async def fail_to_move(self, *, ttl_s: int | None = None) -> None:
        async with as_user(self.orders, self.server, self.url, AFTER_LEAVING) as crashing:
            with pytest.raises(StorageUnavailable):
                await crashing.claim(dead_letter=dead_letters(ttl_s=ttl_s))

    async def fail_to_finish(self) -> None:
        await self.dead.create()
        async with as_user(self.orders, self.server, self.url, AFTER_ARRIVING) as crashing:
            with pytest.raises(StorageUnavailable):
                await crashing.sweep()

    async def sweep(self) -> None:
        self.orders.clock.advance(s=2)
        while await self.orders.sweep():
            pass

    async def bodies(self) -> list[bytes]:
        return [message.body for message in await self.dead.everything()]


@pytest.fixture
async def move(redis_server: RedisServer) -> AsyncIterator[Interrupted]:
    url = fresh_url(redis_server)
    async with opened(url) as driver:
        handle = QueueHandle(driver, MovableClock())
        await handle.create()
        await handle.post(new_message("broken"))
        claim = await handle.claim_some()
        await handle.release(claim.id)
        yield Interrupted(redis_server, url, handle)


async def test_a_message_that_left_is_out_of_sight_until_the_sweep(move: Interrupted) -> None:
    await move.fail_to_move()
    assert await move.orders.everything() == []
    assert await move.orders.counts() == (0, 0)
    assert await move.bodies() == []
    await move.sweep()
    assert await move.bodies() == [b"broken"]
    assert await move.orders.everything() == []


async def test_a_claim_that_holds_messages_is_answered_while_moves_wait(
    move: Interrupted,
) -> None:
    (fresh,) = await move.orders.post(new_message("fresh"))
    async with as_user(move.orders, move.server, move.url, AFTER_LEAVING) as crashing:
        claim = await crashing.claim(dead_letter=dead_letters())
    assert claim is not None
    assert [message.seq for message in claim.messages] == [fresh]
    await move.sweep()
    assert await move.bodies() == [b"broken"]


async def test_a_message_that_arrived_arrives_no_second_time(move: Interrupted) -> None:
    await move.fail_to_move()
    await move.fail_to_finish()
    assert await move.bodies() == [b"broken"]
    await move.sweep()
    assert await move.bodies() == [b"broken"]


async def test_a_message_that_arrived_and_was_consumed_comes_not_back(
    move: Interrupted,
) -> None:
    await move.fail_to_move()
    await move.fail_to_finish()
    assert len(await move.dead.pop()) == 1
    await move.sweep()
    assert await move.bodies() == []


async def test_a_message_whose_life_ended_on_the_way_does_not_arrive(
    move: Interrupted,
) -> None:
    await move.fail_to_move(ttl_s=60)
    move.orders.clock.advance(s=61)
    await move.sweep()
    assert await move.bodies() == []


@pytest.mark.parametrize("end", ["drop", "purge"])
async def test_a_message_on_its_way_outlives_its_queue(move: Interrupted, end: str) -> None:
    await move.fail_to_move()
    await getattr(move.orders, end)()
    await move.sweep()
    assert await move.bodies() == [b"broken"]


async def test_sweeps_at_the_same_time_deliver_a_message_once(move: Interrupted) -> None:
    await move.fail_to_move()
    move.orders.clock.advance(s=2)
    deliver = move.orders.storage.dead_letters.deliver  # type: ignore[attr-defined]
    now_ms = move.orders.now_ms
    await asyncio.gather(*(deliver("alpha", "orders", now_ms=now_ms) for _ in range(20)))
    assert await move.bodies() == [b"broken"]


async def test_a_dead_letter_queue_deleted_meanwhile_is_made_again(move: Interrupted) -> None:
    await move.dead.create()
    await move.fail_to_move()
    await move.dead.drop()
    await move.sweep()
    assert await move.bodies() == [b"broken"]
