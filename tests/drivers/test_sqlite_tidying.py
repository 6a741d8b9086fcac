"""What nobody swept is tidied on the way, in steps, and the answers are exact all the same."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from queues.errors import MessageSealed, StorageUnavailable
from queues.model import Media
from storage_drivers.sqlite.sweep import SPARE_PAGES, STEP
from tests.conformance.handle import QueueHandle
from tests.drivers.sqlite_storage import opened, orders
from tests.factories import new_message, new_messages

HASTE_MS = 40
BACKLOG = 2 * STEP + 500


def size(path: Path) -> int:
    return path.stat().st_size


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


@pytest.fixture
async def neglected(path: Path) -> AsyncIterator[tuple[QueueHandle, list[int]]]:
    """A queue with a backlog each of expired and lapsed messages, and the live sequences."""
    async with orders(path) as queue:
        lapsed = await queue.post(*new_messages(BACKLOG))
        await queue.claim_some(BACKLOG, lease_s=60)
        await queue.post(*new_messages(BACKLOG, ttl_s=60))
        ready = await queue.post(*new_messages(5))
        queue.clock.advance(s=61)
        yield queue, lapsed + ready


async def test_a_claim_gets_the_lowest_sequences(
    neglected: tuple[QueueHandle, list[int]],
) -> None:
    queue, live = neglected
    claim = await queue.claim_some(BACKLOG + 10)
    assert [message.seq for message in claim.messages] == live


async def test_a_pop_gets_the_lowest_sequences(
    neglected: tuple[QueueHandle, list[int]],
) -> None:
    queue, live = neglected
    assert await queue.pop(BACKLOG + 10) == live


async def test_a_pop_that_is_refused_keeps_what_it_tidied(path: Path) -> None:
    async with orders(path) as queue:
        await queue.post(*new_messages(10, ttl_s=60))
        await queue.post(new_message(media=Media.SEALED))
        queue.clock.advance(s=60)
        with pytest.raises(MessageSealed):
            await queue.pop(1)
        with closing(sqlite3.connect(path)) as file:
            assert file.execute("SELECT count(*) FROM messages").fetchone() == (1,)


async def test_a_listing_shows_all(neglected: tuple[QueueHandle, list[int]]) -> None:
    queue, live = neglected
    page = await queue.page(limit=BACKLOG + 10)
    assert [message.seq for message in page.messages] == live


async def test_stats_count_all(neglected: tuple[QueueHandle, list[int]]) -> None:
    queue, live = neglected
    stats = await queue.stats()
    assert (stats.claimed, stats.total) == (0, len(live))
    assert stats.oldest is not None
    assert stats.newest is not None
    assert (stats.oldest.seq, stats.newest.seq) == (live[0], live[-1])


async def test_a_backlog_that_takes_too_long_is_worked_off_over_several_calls(
    path: Path,
) -> None:
    async with orders(path) as queue, opened(path, timeout_ms=HASTE_MS) as hasty_storage:
        for _ in range(60):
            await queue.post(*new_messages(STEP, ttl_s=60))
        seqs = await queue.post()
        queue.clock.advance(s=61)
        hasty = queue.on(storage=hasty_storage)
        for call in (hasty.counts, hasty.listed, hasty.pop):
            start = time.perf_counter()
            with pytest.raises(StorageUnavailable):
                await call()
            assert time.perf_counter() - start < HASTE_MS / 1000 + 2
        assert await queue.pop() == seqs


async def test_a_sweep_is_bounded_and_says_how_much_it_did(
    neglected: tuple[QueueHandle, list[int]],
) -> None:
    queue, live = neglected
    swept = []
    while done := await queue.storage.sweep(limit=700, now_ms=queue.now_ms):
        swept.append(done)
    assert max(swept) == 700
    assert sum(swept) == 2 * BACKLOG
    assert await queue.counts() == (0, len(live))


async def test_the_sweep_frees_what_purged_and_deleted_queues_left(path: Path) -> None:
    async with orders(path) as queue:
        for clear in (queue.purge, queue.drop):
            await queue.post(*new_messages(150))
            await clear()
        swept = []
        while done := await queue.storage.sweep(limit=100, now_ms=queue.now_ms):
            swept.append(done)
        assert swept == [100, 100, 100]


async def test_the_sweep_goes_on_past_queues_that_need_nothing_any_more(path: Path) -> None:
    async with orders(path) as queue:
        for number in range(25):
            idle = queue.on(queue=f"idle-{number}")
            await idle.create()
            await idle.post()
            await idle.pop()
            await idle.purge()
            await idle.post(*new_messages(1, delay_s=10))
            await idle.delete(*await idle.listed(delayed=True))
        await queue.post(*new_messages(3, ttl_s=60))
        queue.clock.advance(s=61)
        while await queue.storage.sweep(limit=10, now_ms=queue.now_ms):
            pass
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM garbage").fetchone() == (0,)
        connection.close()


async def test_an_idle_sweep_returns_free_space_but_for_a_reserve(path: Path) -> None:
    reserve = SPARE_PAGES * 4096
    async with orders(path) as queue:
        large = [new_message(b"x" * 250_000) for _ in range(30)]
        posted = [seq for _ in range(4) for seq in await queue.post(*large)]
        kept = await queue.post(new_message("kept"))
        await queue.delete(*posted)
    assert size(path) > reserve + 8_000_000
    async with orders(path) as queue:
        for _ in range(20):
            assert await queue.storage.sweep(limit=100, now_ms=queue.now_ms) == 0
        assert [message.body for message in await queue.get(*kept)] == [b"kept"]
    assert reserve < size(path) < reserve + 1_000_000


async def test_a_message_of_100_bytes_takes_300_bytes_at_most(path: Path) -> None:
    count, queues = 20_000, 20
    async with orders(path) as queue:
        many = [queue.on(queue=f"queue-{number}") for number in range(queues)]
        for each in many:
            await each.create()
        for _ in range(count // queues // 10):
            for each in many:
                await each.post(*(new_message(b"x" * 100) for _ in range(10)))
    assert size(path) / count <= 300
