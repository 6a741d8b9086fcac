"""What fails below SQLite: the answer comes in time, and the next call works when it can."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from queues.errors import StorageUnavailable
from storage_drivers.sqlite import filesystem
from storage_drivers.sqlite.connection import Link
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.turn import Turn
from storage_drivers.sqlite.wakeups import Wakeups
from storage_drivers.sqlite.writer import Writer
from tests.drivers.sqlite_storage import opened, orders
from tests.factories import new_message

TIMEOUT_MS = 300


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


def move_database(source: Path, target: Path) -> None:
    """Move the file with its log to where there is none."""
    target.mkdir(exist_ok=True)
    for name in ("nusku.db", "nusku.db-wal", "nusku.db-shm"):
        assert not (target / name).exists()
        shutil.move(source / name, target)


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A path on a file system that a restart of the machine empties."""
    memory = Path("/dev/shm")
    if not filesystem.warnings(memory):
        pytest.skip("this machine has no file system in memory")
    folder = Path(tempfile.mkdtemp(dir=memory))
    yield folder / "nusku.db"
    shutil.rmtree(folder)


async def test_a_file_locked_by_another_program_fails_writes_in_time_and_not_reads(
    path: Path,
) -> None:
    async with orders(path, timeout_ms=TIMEOUT_MS) as queue:
        seqs = await queue.post()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                await queue.post()
            with pytest.raises(StorageUnavailable):
                await queue.storage.health()
            assert len(await queue.get(*seqs)) == 1
        assert loop.time() - start_s < 4 * TIMEOUT_MS / 1000 + 2
        other.rollback()
        other.close()
        await queue.post()
        assert await queue.counts() == (0, 2)


async def test_a_deleted_file_is_reported_and_never_replaced_by_an_empty_one(
    path: Path,
) -> None:
    async with orders(path) as queue:
        await queue.post()
        aside = path.with_name("aside")
        move_database(path.parent, aside)
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                await queue.post()
            with pytest.raises(StorageUnavailable):
                await queue.counts()
        move_database(aside, path.parent)
        await queue.post()
        assert await queue.counts() == (0, 2)


@contextmanager
def full_disk(at_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size; the kernel refuses the writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_fails_writes_and_loses_nothing_acknowledged(path: Path) -> None:
    large = new_message(b"x" * 50_000)
    async with orders(path) as queue:
        with full_disk(at_bytes=1_000_000):
            answers = [
                await asyncio.gather(queue.post(large), return_exceptions=True)
                for _ in range(60)
            ]
            posted = [
                seq for (answer,) in answers if isinstance(answer, list) for seq in answer
            ]
            failed = [answer for (answer,) in answers if not isinstance(answer, list)]
            assert {type(failure) for failure in failed} == {StorageUnavailable}
            assert len(await queue.get(*posted)) == len(posted) == 60 - len(failed)
        posted += await queue.post(large)
        page = await queue.page()
        assert [message.seq for message in page.messages] == posted


async def test_a_damaged_file_is_reported_and_a_restored_one_is_used_again(path: Path) -> None:
    async with orders(path) as queue:
        await queue.post()
        checkpoint = sqlite3.connect(path)
        checkpoint.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        checkpoint.close()
        backup = path.with_name("backup")
        shutil.copy(path, backup)
        damaged = path.with_name("damaged")
        damaged.write_bytes(b"not a database, " * 4096)
        damaged.replace(path)
        with pytest.raises(StorageUnavailable):
            await queue.post()
        backup.replace(path)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        await queue.post()
        assert await queue.counts() == (0, 2)


async def test_health_says_what_an_acknowledgement_means(path: Path) -> None:
    async with opened(path) as driver:
        health = await driver.health()
        assert "fsync" in health.durability


async def test_a_file_in_memory_gives_a_warning_at_start_and_in_health(
    in_memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with opened(in_memory) as driver:
            assert "tmpfs" in (await driver.health()).warnings[0]
    assert "lost when the machine restarts" in caplog.text


async def test_a_spoilt_file_of_the_line_does_not_stop_the_writer_for_good(path: Path) -> None:
    async with orders(path, timeout_ms=TIMEOUT_MS) as queue:
        (seq,) = await queue.post()
        os.truncate(f"{path}-turn", 5)
        posted = await queue.post()
        assert await queue.listed() == [seq, *posted]


class ShakyTurn(Turn):
    """A turn at which memory is short, once."""

    is_short = True

    def __enter__(self) -> None:
        if self.is_short:
            self.is_short = False
            raise MemoryError
        super().__enter__()


async def test_a_failure_that_nobody_foresaw_does_not_end_the_writer(path: Path) -> None:
    async with opened(path):
        hints = Wakeups(path)
        writer = Writer(Link(path, TIMEOUT_MS), ShakyTurn(path), hints.voice)
        lane = Lane("sqlite-writer", [writer], timeout_ms=TIMEOUT_MS)
        with pytest.raises(StorageUnavailable, match="MemoryError"):
            await lane.run(lambda _: 1)
        assert await lane.run(lambda _: 2) == 2
        await lane.close()
