"""Records in SQLite: what expired is in no way, and an outbox shares the fate of its post."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from queues.model import Record, RecordKind
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.readers import Reader
from storage_drivers.sqlite.records import Records
from storage_drivers.sqlite.sweep import STEP
from tests.conformance.handle import QueueHandle
from tests.conformance.records import RecordsHandle, keys_of
from tests.drivers.sqlite_storage import new_writer, orders
from tests.drivers.test_sqlite_plans import CountingLink
from tests.factories import new_messages


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


@pytest.fixture
async def queue(path: Path) -> AsyncIterator[QueueHandle]:
    async with orders(path) as handle:
        yield handle


@pytest.fixture
def records(queue: QueueHandle) -> RecordsHandle:
    return RecordsHandle(queue.storage, queue.clock)


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as file:
        return int(file.execute("SELECT count(*) FROM records").fetchone()[0])


async def add_many(records: RecordsHandle, count: int, **times: int) -> None:
    await asyncio.gather(*(records.add(f"{number:05}", **times) for number in range(count)))


async def test_an_outbox_that_cannot_be_stored_takes_its_messages_along(
    queue: QueueHandle, path: Path
) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute(
            "CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(sqlite3.IntegrityError):
        await queue.storage.messages.post(
            queue.project,
            queue.queue,
            new_messages(2),
            queue_version=1,
            idempotency=None,
            now_ms=queue.now_ms,
            outbox=Record(RecordKind.OUTBOX, "orders", "", b"document", version=7),
        )
    assert await queue.counts() == (0, 0)
    assert (await queue.tail()).number == 0
    await queue.post()
    assert (await queue.tail()).number == 1


async def test_a_listing_clears_away_what_expired_before_its_page(
    records: RecordsHandle, path: Path
) -> None:
    await add_many(records, 2 * STEP + 5, expires_ms=records.now_ms + 1)
    last = await records.add("last")
    records.clock.advance(ms=1)
    assert await records.page(limit=1) == [last]
    assert rows(path) == 6


async def test_taking_clears_away_what_expired_before_it_was_taken(
    records: RecordsHandle, path: Path
) -> None:
    await add_many(records, STEP + 5, expires_ms=records.now_ms + 1, due_ms=records.now_ms)
    await records.add("last", due_ms=records.now_ms)
    records.clock.advance(ms=1)
    assert keys_of(await records.take(9)) == ["last"]
    assert rows(path) == 1


async def test_the_sweep_removes_expired_records_bit_by_bit(
    records: RecordsHandle, path: Path
) -> None:
    await add_many(records, 5, expires_ms=records.now_ms + 1)
    await add_many(records.on(project="beta"), 2, expires_ms=records.now_ms + 2)
    records.clock.advance(ms=1)
    sweep = records.storage.sweep
    assert [await sweep(limit=3, now_ms=records.now_ms) for _ in range(3)] == [3, 2, 0]
    assert rows(path) == 2


CALLS: dict[str, Callable[[RecordsHandle], Awaitable[object]]] = {
    "create": lambda records: records.add("new"),
    "create again": lambda records: records.create(records.made("new")),
    "get": lambda records: records.get("00010"),
    "list": lambda records: records.page(marker="00010", limit=5),
    "list by prefix": lambda records: records.page(prefix="000", limit=5),
    "replace": lambda records: records.replace(records.made("00010", version=5)),
    "delete": lambda records: records.delete("00010"),
    "take": lambda records: records.take(5),
    "take nothing": lambda records: records.take(5),
}


async def steps(path: Path, count: int) -> dict[str, int]:
    """Return the steps that each call takes among so many records of several sorts."""
    async with orders(path) as queue:
        records = RecordsHandle(queue.storage, queue.clock)
        now_ms = queue.now_ms
        await add_many(records, count)
        for kind in (RecordKind.OUTBOX, RecordKind.LANE):
            await add_many(records.on(kind=kind), count, due_ms=now_ms + 9_000)
        await add_many(records.on(scope="held"), count, due_ms=now_ms)
        while await records.take(1000):
            pass
        await add_many(records.on(scope="due"), 5, due_ms=now_ms)
        writer = Lane("w", [new_writer(path, CountingLink(path, 1000))], timeout_ms=10_000)
        readers = Lane("r", [Reader(CountingLink(path, 1000))], timeout_ms=10_000)
        queue.storage.records = Records(writer, readers)
        taken: dict[str, int] = {}
        for name, call in CALLS.items():
            CountingLink.steps = 0
            await call(records)
            taken[name] = CountingLink.steps * 10
        await asyncio.gather(writer.close(), readers.close())
        return taken


async def test_no_call_takes_more_steps_among_many(path: Path) -> None:
    few = await steps(path.with_name("few.db"), 20)
    many = await steps(path, 3000)
    assert {name: (few[name], many[name]) for name in few if many[name] > few[name] + 50} == {}
