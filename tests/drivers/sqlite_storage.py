"""Opens SQLite drivers for tests, and counts what they do from outside."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from storage_drivers.sqlite import Driver
from storage_drivers.sqlite.bulletin import Bulletin
from storage_drivers.sqlite.connection import Link
from storage_drivers.sqlite.ear import Ear
from storage_drivers.sqlite.turn import Turn
from storage_drivers.sqlite.voice import Voice
from storage_drivers.sqlite.writer import Writer
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle


def new_writer(path: Path, link: Link | None = None) -> Writer:
    """Return a writer of its own on the file. Nobody in this process hears it."""
    bulletin = Bulletin(path)
    voice = Voice(path, bulletin, Ear(path, bulletin, lambda _: None))
    return Writer(link or Link(path, 1000), Turn(path), voice)


_WAL_HEADER, _FRAME_HEADER, _PAGE = 32, 24, 4096


@asynccontextmanager
async def opened(path: Path, *, timeout_ms: int = 10_000) -> AsyncIterator[Driver]:
    """Open the file within the block."""
    driver = Driver(f"sqlite:///{path}", timeout_ms=timeout_ms)
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()


@asynccontextmanager
async def orders(path: Path, *, timeout_ms: int = 10_000) -> AsyncIterator[QueueHandle]:
    """Open the file and create the queue `orders` within the block."""
    async with opened(path, timeout_ms=timeout_ms) as driver:
        handle = QueueHandle(driver, MovableClock())
        await handle.create()
        yield handle


def commits(path: Path) -> int:
    """Count the transactions in the write-ahead log: a commit's last frame has a size."""
    log = path.with_name(path.name + "-wal").read_bytes()
    frames = range(_WAL_HEADER, len(log), _FRAME_HEADER + _PAGE)
    return sum(log[at + 4 : at + 8] != bytes(4) for at in frames)


def contradictions(path: Path) -> list[tuple[object, ...]]:
    """Return where counts, due times and long bodies disagree with the messages."""
    with closing(sqlite3.connect(path)) as file:
        return [row for sql in _CONTRADICTIONS for row in file.execute(sql)]


_CONTRADICTIONS = (
    """SELECT bucket_id, 'counts', total, claimed, number, held
    FROM buckets JOIN (
        SELECT bucket_id, count(seq) AS number, ifnull(sum(state = 2), 0) AS held
        FROM buckets LEFT JOIN messages USING (bucket_id) GROUP BY bucket_id
    ) USING (bucket_id) WHERE total <> number OR claimed <> held""",
    """SELECT bucket_id, 'due', quiet_until_ms, seq FROM buckets JOIN messages USING (bucket_id)
    WHERE quiet_until_ms > min(expires_ms, ifnull(visible_ms, expires_ms))""",
    """SELECT 'no body', seq FROM messages
    WHERE body IS NULL AND seq NOT IN (SELECT seq FROM bodies)""",
    """SELECT 'no message', seq FROM bodies
    WHERE seq NOT IN (SELECT seq FROM messages WHERE body IS NULL)""",
)
