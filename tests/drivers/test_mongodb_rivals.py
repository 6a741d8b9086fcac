"""Two processes that finish the same thing at the same time: one counts, one gives way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from queues.model import DeadLetterPolicy
from storage_drivers.mongodb.layout import MOVING, STAGED
from tests.conformance.handle import QueueHandle
from tests.drivers.mongodb_storage import Line, orders, through_a_line
from tests.factories import idempotency, new_message, new_messages
from tests.servers.mongodb import MongoServer, connect

pytestmark = pytest.mark.mongodb

POLICY = DeadLetterPolicy(queue="dead", max_claims=1, ttl_s=None, version=77)

Pair = tuple[QueueHandle, QueueHandle, Line, str]


@pytest.fixture
async def pair(mongodb_server: MongoServer) -> AsyncIterator[Pair]:
    """Give a queue in two processes, the line of the second one, and the URL."""
    async with (
        orders(mongodb_server) as (sound, url),
        through_a_line(sound, mongodb_server, url) as (held, line),
    ):
        yield sound, held, line, url


def undecided_documents(url: str) -> int:
    with connect(url) as connection:
        messages = connection.get_default_database().messages
        return messages.count_documents({"visible": {"$in": [STAGED, MOVING]}})


@pytest.mark.parametrize("step", ["insert messages", "update answers", "update messages"])
async def test_a_keyed_post_overtaken_at_any_step_is_stored_once(pair: Pair, step: str) -> None:
    sound, held, line, url = pair
    line.hold(step)
    late = asyncio.create_task(held.post(*new_messages(2), idempotency=idempotency()))
    await line.reached.wait()
    seqs = await sound.post(*new_messages(2), idempotency=idempotency())
    assert await sound.pop(10) == seqs
    line.released.set()
    assert await late == seqs
    assert await sound.everything() == []
    assert undecided_documents(url) == 0


@pytest.mark.parametrize("updates", [1, 2])
async def test_a_move_overtaken_by_the_sweep_is_made_once(pair: Pair, updates: int) -> None:
    sound, held, line, url = pair
    dead = await exhausted_message(sound)
    line.hold("update messages", after=updates)
    late = asyncio.create_task(held.claim(dead_letter=POLICY))
    await line.reached.wait()
    await sound.sweep_all()
    assert [message.body for message in await dead.pop_messages(10)] == [b"exhausted"]
    line.released.set()
    assert await late is None
    await sound.sweep_all()
    assert await dead.everything() == []
    assert await sound.everything() == []
    assert undecided_documents(url) == 0


async def exhausted_message(queue: QueueHandle) -> QueueHandle:
    """Post a message that the next claim moves, and return the queue that it moves to."""
    dead = queue.on(queue="dead", version=77)
    await dead.create()
    await queue.post(new_message("exhausted"))
    await queue.release((await queue.claim_some()).id)
    return dead


async def test_a_move_that_was_decided_is_not_decided_again(
    mongodb_server: MongoServer, pair: Pair
) -> None:
    sound, held, line, url = pair
    dead = await exhausted_message(sound)
    line.hold("update messages", after=1)
    late = asyncio.create_task(held.claim(dead_letter=POLICY))
    await line.reached.wait()
    async with through_a_line(sound, mongodb_server, url) as (rival, other):
        other.hold("delete messages")
        sweeping = asyncio.create_task(rival.sweep())
        await other.reached.wait()
        assert [message.body for message in await dead.pop_messages(10)] == [b"exhausted"]
        line.released.set()
        assert await late is None
        assert await dead.everything() == []
        other.released.set()
        await sweeping
    assert undecided_documents(url) == 0


async def test_a_late_move_against_a_fence_is_made_by_the_sweep(pair: Pair) -> None:
    sound, held, line, _ = pair
    dead = await exhausted_message(sound)
    line.hold("update messages", after=1)
    late = asyncio.create_task(held.claim(dead_letter=POLICY))
    await line.reached.wait()
    await dead.post(new_message("seen"))
    assert [message.body for message in await dead.everything()] == [b"seen"]
    line.released.set()
    assert await late is None
    await sound.sweep_all()
    assert [message.body for message in await dead.everything()] == [b"seen", b"exhausted"]


async def test_a_late_decision_against_a_fence_stores_above_what_was_seen(pair: Pair) -> None:
    sound, held, line, url = pair
    line.hold("update answers")
    late = asyncio.create_task(held.post(*new_messages(2), idempotency=idempotency()))
    await line.reached.wait()
    (seen,) = await sound.post(new_message("seen"))
    assert [message.seq for message in await sound.everything()] == [seen]
    line.released.set()
    assert min(await late) > seen
    assert [message.body for message in await sound.everything()] == [b"seen", b"0", b"1"]
    assert undecided_documents(url) == 0


async def test_a_keyed_claim_that_was_taken_over_leaves_messages_as_they_were(
    pair: Pair,
) -> None:
    sound, held, line, _ = pair
    await sound.post(*new_messages(4))
    before = await sound.everything()
    line.hold("update messages")
    late = asyncio.create_task(held.claim(2, idempotency=idempotency()))
    await line.reached.wait()
    claim = await sound.claim_some(1, idempotency=idempotency())
    line.released.set()
    assert await late == claim
    assert await sound.counts() == (1, 4)
    assert (await sound.everything())[1:] == before[1:]
