"""Credentials and quotas in the file: what is tidied away, what is counted, what it costs."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from queues.model import CredentialKind, Rate, Usage
from storage_drivers.sqlite.connection import connect, create_file
from storage_drivers.sqlite.credentials import Credentials
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.layout import migrations
from storage_drivers.sqlite.migrations import migrate
from storage_drivers.sqlite.quotas import Quotas
from storage_drivers.sqlite.readers import Reader
from tests.clock import MovableClock
from tests.conformance.project import ProjectHandle
from tests.drivers.sqlite_storage import new_writer, opened
from tests.drivers.test_sqlite_plans import CountingLink
from tests.factories import new_message, new_messages


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


@pytest.fixture
async def alpha(path: Path) -> AsyncIterator[ProjectHandle]:
    async with opened(path) as driver:
        yield ProjectHandle(driver, MovableClock())


def rows(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


async def sweep(alpha: ProjectHandle, limit: int = 100) -> int:
    return await alpha.storage.sweep(limit=limit, now_ms=alpha.now_ms)


async def test_the_sweep_forgets_credentials_that_expired(
    alpha: ProjectHandle, path: Path
) -> None:
    for number in range(5):
        await alpha.add(f"old-{number}", ttl_s=60)
        await alpha.add(f"new-{number}", ttl_s=61)
    await alpha.revoke("old-0")
    await alpha.revoke("new-0")
    assert await sweep(alpha) == 0
    alpha.clock.advance(s=60)
    assert [await sweep(alpha, limit=3) for _ in range(3)] == [3, 2, 0]
    assert rows(path, "credentials") == 5
    assert await alpha.revoked() == {"new-0"}


async def test_the_sweep_forgets_buckets_that_are_full(
    alpha: ProjectHandle, path: Path
) -> None:
    for number in range(5):
        await alpha.take(number + 1, Rate(0.1, 10), bucket=f"{number}")
    await alpha.take(1, Rate(0, 10), bucket="never")
    assert await sweep(alpha) == 0
    alpha.clock.advance(ms=29_999)
    assert await sweep(alpha) == 2
    alpha.clock.advance(ms=1)
    assert await sweep(alpha) == 1
    alpha.clock.advance(s=100_000)
    assert [await sweep(alpha, limit=1) for _ in range(3)] == [1, 1, 0]
    assert rows(path, "tokens") == 1


@pytest.mark.parametrize("per_s", [1e-300, 5e-324, 1e-9, 1e308])
async def test_any_rate_can_be_stored(alpha: ProjectHandle, per_s: float) -> None:
    rate = Rate(per_s, 2**53)
    assert await alpha.take(2**53, rate) == 2**53
    assert await alpha.take(1, rate) == 0
    assert await sweep(alpha) == 0


async def test_bodies_that_were_there_before_are_counted(path: Path) -> None:
    async with opened(path) as driver:
        one = await ProjectHandle(driver, MovableClock()).queue("one")
        await one.post(*new_messages(3), new_message(b"x" * 100_000), new_message(b""))
        await one.on(queue="empty").create()
    older = {number: script for number, script in migrations().items() if number < 3}
    kept = sqlite3.connect(path)
    for table in ("credentials", "revocations", "quotas", "tokens", "records"):
        kept.execute(f"DROP TABLE {table}")
    for column in ("body_bytes", "last_number", "last_seq"):
        kept.execute(f"ALTER TABLE buckets DROP COLUMN {column}")
    kept.execute("ALTER TABLE messages DROP COLUMN number")
    kept.execute("ALTER TABLE buckets RENAME COLUMN quiet_until_ms TO earliest_ms")
    kept.execute(f"PRAGMA user_version = {max(older)}")
    assert schema(kept) == schema_of(path.with_name("older.db"), older)
    kept.close()
    async with opened(path) as driver:
        alpha = ProjectHandle(driver, MovableClock())
        assert await alpha.usage() == Usage(2, 5, 100_003, 0)


def schema(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    return set(connection.execute("SELECT type, name FROM sqlite_schema").fetchall())


def schema_of(path: Path, scripts: dict[int, str]) -> set[tuple[str, str]]:
    create_file(path)
    connection = connect(path, 1000)
    migrate(connection, path, scripts, 1000)
    found = schema(connection)
    connection.close()
    return found


CALLS: dict[str, Callable[[ProjectHandle], Awaitable[object]]] = {
    "usage": lambda p: p.usage(),
    "get": lambda p: p.get("id-5"),
    "list": lambda p: p.page(limit=3),
    "spend": lambda p: p.spend("id-5"),
    "add": lambda p: p.add("id-x"),
    "revoke": lambda p: p.revoke("id-5"),
    "take": lambda p: p.take(1, Rate(1, 10)),
    "get quota": lambda p: p.storage.quotas.get("alpha"),
    "list quotas": lambda p: p.storage.quotas.list(marker=None, limit=3),
}


async def steps(path: Path, count: int) -> dict[str, int]:
    """Return the steps that each call takes among `count` things of each kind."""
    async with opened(path) as driver:
        alpha = ProjectHandle(driver, MovableClock())
        queue = await alpha.queue("orders")
        for _ in range(count // 100):
            await queue.post(*new_messages(100))
        for number in range(count // 10):
            await alpha.add(f"id-{number}", uses_left=9)
            await alpha.add(f"other-{number}", kind=CredentialKind.SHARE)
            await alpha.revoke(f"other-{number}")
            await alpha.on(project=f"{number}").storage.quotas.put(f"{number}", b"{}")
            await alpha.take(1, Rate(1, 10), bucket=f"{number}")
        version = (await alpha.all_revocations()).version
        writer = Lane("w", [new_writer(path, CountingLink(path, 1000))], timeout_ms=10_000)
        readers = Lane("r", [Reader(CountingLink(path, 1000))], timeout_ms=10_000)
        driver.credentials = Credentials(writer, readers)
        driver.quotas = Quotas(writer, readers)
        taken: dict[str, int] = {}
        calls = {"revocations": lambda p: p.revocations(version), **CALLS}
        for name, call in calls.items():
            CountingLink.steps = 0
            await call(alpha)
            taken[name] = CountingLink.steps * 10
        await asyncio.gather(writer.close(), readers.close())
        return taken


async def test_no_call_takes_more_steps_among_many(path: Path) -> None:
    few = await steps(path.with_name("few.db"), 100)
    many = await steps(path, 3000)
    assert {name: (few[name], many[name]) for name in few if many[name] > few[name] + 50} == {}
    assert many["revocations"] <= 50
