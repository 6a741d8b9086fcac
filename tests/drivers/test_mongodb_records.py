"""Records on MongoDB: what two processes do to one of them, and what a call costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import pytest

from queues.model import Record, RecordKind, Taken
from tests.conformance.handle import QueueHandle
from tests.drivers.mongodb_recorder import recorded, short
from tests.drivers.mongodb_storage import Line, orders, through_a_line
from tests.servers.mongodb import MongoServer, connect

pytestmark = pytest.mark.mongodb

LEASE_MS = 1000


class Pair(NamedTuple):
    """A process, another one whose line to the store can be held, that line, and the URL."""

    sound: QueueHandle
    held: QueueHandle
    line: Line
    url: str


@pytest.fixture
async def pair(mongodb_server: MongoServer) -> AsyncIterator[Pair]:
    async with (
        orders(mongodb_server) as (sound, url),
        through_a_line(sound, mongodb_server, url) as (held, line),
    ):
        yield Pair(sound, held, line, url)


async def create(queue: QueueHandle, *keys: str, ttl_ms: int = 60_000) -> None:
    """Store records that are due now."""
    now_ms = queue.now_ms
    for key in keys:
        made = Record(RecordKind.LANE, "orders", key, b"{}", 7, now_ms, now_ms + ttl_ms)
        assert await queue.storage.records.create("alpha", made, now_ms=now_ms)


async def take(queue: QueueHandle, limit: int = 10) -> Sequence[Taken]:
    return await queue.storage.records.take(limit=limit, lease_ms=LEASE_MS, now_ms=queue.now_ms)


def keys_of(taken: Sequence[Taken]) -> list[str]:
    return [one.record.key for one in taken]


async def test_who_is_overtaken_while_taking_gets_what_is_left(pair: Pair) -> None:
    await create(pair.sound, "a", "b", "c")
    pair.line.hold("update records")
    late = asyncio.create_task(take(pair.held, 2))
    await pair.line.reached.wait()
    assert keys_of(await take(pair.sound, 1)) == ["a"]
    pair.line.released.set()
    assert sorted(keys_of(await late)) == ["b", "c"]


async def test_who_is_overtaken_by_an_equal_call_does_not_take_its_records(pair: Pair) -> None:
    await create(pair.sound, "a", "b")
    pair.line.hold("update records")
    late = asyncio.create_task(take(pair.held))
    await pair.line.reached.wait()
    assert sorted(keys_of(await take(pair.sound))) == ["a", "b"]
    pair.line.released.set()
    assert await late == []


async def test_of_many_processes_that_take_at_once_each_record_has_one(pair: Pair) -> None:
    names = [f"{n:02}" for n in range(30)]
    await create(pair.sound, *names)
    calls = (take((pair.sound, pair.held)[n % 2], 5) for n in range(6))
    taken = [one for some in await asyncio.gather(*calls) for one in some]
    taken += await take(pair.sound, 30)
    assert sorted(keys_of(taken)) == names
    assert {one.record.version for one in taken} == {8}


async def test_records_are_taken_by_two_commands(pair: Pair) -> None:
    await create(pair.sound, *"abcdef")
    with recorded(pair.url) as commands:
        await take(pair.sound, 4)
        assert [short(command) for command in commands] == ["find records", "update records"]


async def test_the_sweep_removes_expired_records_and_no_others(pair: Pair) -> None:
    await create(pair.sound, "short")
    await create(pair.sound, "long", ttl_ms=600_000)
    pair.sound.clock.advance(s=60)
    await pair.sound.sweep_all()
    with connect(pair.url) as connection:
        left = connection.get_default_database().records.find()
        assert [doc["_id"] for doc in left] == ["alpha lane orders long"]
