"""Records in SQLite: what expired is in no way, and an outbox shares the fate of its post."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from queues.errors import QueueChanged
from queues.model import Idempotency, Record, RecordKind
from queues.storage import outbox_key
from storage_drivers.sqlite.sweep import STEP
from tests.conformance.handle import QueueHandle
from tests.drivers.sqlite_storage import orders
from tests.factories import new_messages

OUTBOX = Record(RecordKind.OUTBOX, "orders", "", b"document", version=7, due_ms=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


@pytest.fixture
async def queue(path: Path) -> AsyncIterator[QueueHandle]:
    async with orders(path) as handle:
        yield handle


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as file:
        return int(file.execute("SELECT count(*) FROM records").fetchone()[0])


async def post(queue: QueueHandle, *, version: int = 1, key: str | None = None) -> list[int]:
    return list(
        await queue.storage.messages.post(
            queue.project,
            queue.queue,
            new_messages(2),
            queue_version=version,
            idempotency=None if key is None else Idempotency(key, "same", 60_000),
            now_ms=queue.now_ms,
            outbox=OUTBOX,
        )
    )


async def outboxes(queue: QueueHandle) -> list[str]:
    listed = await queue.storage.records.list(
        queue.project,
        RecordKind.OUTBOX,
        queue.queue,
        prefix="",
        marker="",
        limit=100,
        now_ms=queue.now_ms,
    )
    return [record.key for record in listed]


async def test_a_post_leaves_one_outbox_and_a_repeat_or_a_refused_one_none(
    queue: QueueHandle,
) -> None:
    first, second = await post(queue), await post(queue, key="once")
    assert await post(queue, key="once") == second
    with pytest.raises(QueueChanged):
        await post(queue, version=2)
    assert await outboxes(queue) == [outbox_key(first[0]), outbox_key(second[0])]


async def test_an_outbox_that_cannot_be_stored_takes_its_messages_along(
    queue: QueueHandle, path: Path
) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute(
            "CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(sqlite3.IntegrityError):
        await post(queue)
    assert await queue.counts() == (0, 0)
    await queue.post()
    (message,) = await queue.everything()
    assert message.number == 1


async def create_many(queue: QueueHandle, count: int, **times: int) -> None:
    for number in range(count):
        record = Record(RecordKind.CURSOR, "orders", f"{number:05}", b"", 1, **times)
        assert await queue.storage.records.create(queue.project, record, now_ms=queue.now_ms)


async def test_a_listing_clears_away_what_expired_before_it(
    queue: QueueHandle, path: Path
) -> None:
    await create_many(queue, STEP + 5, expires_ms=queue.now_ms + 1)
    last = Record(RecordKind.CURSOR, "orders", "last", b"", 1)
    await queue.storage.records.create(queue.project, last, now_ms=queue.now_ms)
    queue.clock.advance(ms=1)
    listed = await queue.storage.records.list(
        queue.project,
        RecordKind.CURSOR,
        "orders",
        prefix="",
        marker="",
        limit=1,
        now_ms=queue.now_ms,
    )
    assert listed == [last]
    assert rows(path) == 6


async def test_taking_clears_away_what_expired_before_it_was_taken(
    queue: QueueHandle, path: Path
) -> None:
    await create_many(queue, STEP + 5, expires_ms=queue.now_ms + 1, due_ms=queue.now_ms)
    last = Record(RecordKind.CURSOR, "orders", "last", b"", 1, due_ms=queue.now_ms)
    await queue.storage.records.create(queue.project, last, now_ms=queue.now_ms)
    queue.clock.advance(ms=1)
    (taken,) = await queue.storage.records.take(limit=9, lease_ms=5, now_ms=queue.now_ms)
    assert taken.record == last._replace(version=2, due_ms=queue.now_ms + 5)
    assert rows(path) == 1


async def test_the_sweep_removes_expired_records_bit_by_bit(
    queue: QueueHandle, path: Path
) -> None:
    await create_many(queue, 5, expires_ms=queue.now_ms + 1)
    await create_many(queue.on(project="beta"), 2, expires_ms=queue.now_ms + 2)
    queue.clock.advance(ms=1)
    swept = [await queue.storage.sweep(limit=3, now_ms=queue.now_ms) for _ in range(3)]
    assert swept == [3, 2, 0]
    assert rows(path) == 2
