"""Group commit: writes that wait share a transaction, and each still stands alone."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from queues.errors import QueueChanged, StorageUnavailable
from storage_drivers.sqlite.lane import Call, Lane
from storage_drivers.sqlite.transaction import Transaction
from tests.drivers.sqlite_storage import commits, new_writer, opened, orders

WRITES = 50


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


async def test_writes_that_wait_for_the_lock_share_one_commit(path: Path) -> None:
    async with orders(path) as queue:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        before = commits(path)
        first = asyncio.create_task(queue.post())
        await asyncio.sleep(0)  # the writer takes this one, alone or with others
        rest = [asyncio.create_task(queue.post()) for _ in range(WRITES)]
        await asyncio.sleep(0)
        other.rollback()
        other.close()
        await asyncio.gather(first, *rest)
        assert 1 <= commits(path) - before <= 2
        assert await queue.counts() == (0, WRITES + 1)


async def test_refused_and_defective_writes_leave_their_neighbours_alone(path: Path) -> None:
    def half_done(transaction: Transaction) -> None:
        transaction.execute("DELETE FROM messages")
        raise QueueChanged("after a change")

    def defective(transaction: Transaction) -> None:
        transaction.execute("DELETE FROM messages")
        transaction.execute("INSERT INTO garbage (bucket_id) VALUES (1), (1)")

    def harmless(transaction: Transaction) -> int:
        transaction.execute("INSERT INTO garbage (bucket_id) VALUES (7)")
        return 7

    async with orders(path) as queue:
        await queue.post()
        results = batch(path, harmless, half_done, defective)
        assert results[0] == 7
        assert isinstance(results[1], QueueChanged)
        assert isinstance(results[2], sqlite3.IntegrityError)
        assert await queue.counts() == (0, 1)
    assert rows(path, "SELECT bucket_id FROM garbage") == [(7,)]


async def test_a_failing_store_fails_the_whole_batch_and_keeps_nothing_of_it(
    path: Path,
) -> None:
    def harmless(transaction: Transaction) -> None:
        transaction.execute("INSERT INTO garbage (bucket_id) VALUES (7)")

    def fills_the_disk(transaction: Transaction) -> None:
        transaction.execute("PRAGMA max_page_count = 1")
        transaction.execute("INSERT INTO garbage VALUES (8)")
        transaction.execute("CREATE TABLE more (x)")

    async with opened(path):
        results = batch(path, harmless, fills_the_disk, harmless)
    assert [type(result) for result in results] == [StorageUnavailable] * 3
    assert len({id(result) for result in results}) == 3
    assert rows(path, "SELECT * FROM garbage") == []


async def test_a_write_whose_caller_went_away_before_it_began_is_not_run(path: Path) -> None:
    async with orders(path) as queue:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        tasks = [asyncio.create_task(queue.post()) for _ in range(2)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.wait(tasks[:1])
        other.rollback()
        other.close()
        await tasks[1]
        assert await queue.counts() == (0, 1)


async def test_a_thread_that_never_answers_is_reported_in_time() -> None:
    stuck = threading.Event()

    class Hanging:
        def run(self, calls: Sequence[Call[None]]) -> None:
            stuck.wait()

        def close(self) -> None:
            pass

    lane: Lane[None] = Lane("hanging", [Hanging()], timeout_ms=100)
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await lane.run(lambda _: None)
    assert loop.time() - start_s < 2
    stuck.set()
    await lane.close()


async def test_a_thread_keeps_nothing_of_what_it_has_answered(path: Path) -> None:
    class Page:
        """Something large that was read."""

    async with opened(path):
        lane = Lane("writer", [new_writer(path)], timeout_ms=10_000)
        page = weakref.ref(await lane.run(lambda _: Page()))
        async with asyncio.timeout(5):
            while page() is not None:  # noqa: ASYNC110 (the thread tells nobody)
                await asyncio.sleep(0.001)
        await lane.close()


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="only Linux has it")
async def test_the_threads_do_not_interrupt_the_event_loop(path: Path) -> None:
    def policy(of: object) -> int:
        return os.sched_getscheduler(0)

    async with opened(path):
        lane = Lane("writer", [new_writer(path)], timeout_ms=10_000)
        assert await lane.run(policy) == os.SCHED_BATCH
        await lane.close()
    assert policy(None) == os.SCHED_OTHER


async def test_a_closed_storage_says_that_it_is_closed(path: Path) -> None:
    async with orders(path) as queue:
        waiting = asyncio.create_task(queue.post())
        await asyncio.sleep(0)
        await queue.storage.close()
        assert len(await waiting) == 1
        with pytest.raises(StorageUnavailable, match="closed"):
            await queue.post()


def batch(path: Path, *works: Callable[[Transaction], object]) -> list[object]:
    """Run the writes as one batch and return their results."""
    loop = asyncio.get_running_loop()
    calls = [Call(work, loop.create_future(), 0) for work in works]
    writer = new_writer(path)
    writer.run(calls)
    writer.close()
    return [call.result for call in calls]


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()
