"""Migrations run once each, in order, and wholly or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from queues.model import Position
from storage_drivers.sqlite.connection import connect, create_file
from storage_drivers.sqlite.layout import migrations
from storage_drivers.sqlite.migrations import migrate
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle
from tests.drivers.sqlite_storage import contradictions, opened

FIRST = "CREATE TABLE one (x);\nINSERT INTO one VALUES (1);\n"
SECOND = "CREATE TABLE two (x);\nINSERT INTO one VALUES (2);\n"
BROKEN = "INSERT INTO one VALUES (3);\nINSERT INTO nowhere VALUES (3);\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


@pytest.fixture
def file(path: Path) -> Iterator[sqlite3.Connection]:
    create_file(path)
    connection = connect(path, 1000)
    yield connection
    connection.close()


def version(file: sqlite3.Connection) -> int:
    return int(file.execute("PRAGMA user_version").fetchone()[0])


def test_every_connection_writes_ahead_and_syncs_every_commit(
    file: sqlite3.Connection, path: Path
) -> None:
    migrate(file, path, migrations(), 1000)
    later = connect(path, 1000)
    assert later.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert later.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    later.close()


def test_the_scripts_are_numbered_from_1_without_gaps() -> None:
    assert list(migrations()) == list(range(1, len(migrations()) + 1))


def test_only_the_scripts_above_the_version_of_the_file_run(
    file: sqlite3.Connection, path: Path
) -> None:
    migrate(file, path, {1: FIRST}, 1000)
    assert version(file) == 1
    for _ in range(2):
        migrate(file, path, {1: FIRST, 2: SECOND}, 1000)
        assert version(file) == 2
        assert file.execute("SELECT x FROM one").fetchall() == [(1,), (2,)]


def test_a_script_that_fails_leaves_the_file_at_the_version_before(
    file: sqlite3.Connection, path: Path
) -> None:
    migrate(file, path, {1: FIRST}, 1000)
    with pytest.raises(sqlite3.OperationalError):
        migrate(file, path, {1: FIRST, 2: BROKEN}, 1000)
    assert version(file) == 1
    assert file.execute("SELECT x FROM one").fetchall() == [(1,)]
    migrate(file, path, {1: FIRST, 2: SECOND}, 1000)
    assert version(file) == 2


def test_a_file_that_is_up_to_date_opens_while_another_program_writes(
    file: sqlite3.Connection, path: Path
) -> None:
    migrate(file, path, {1: FIRST}, 1000)
    file.execute("BEGIN IMMEDIATE")
    other = connect(path, 0)
    migrate(other, path, {1: FIRST}, 0)
    other.close()


async def test_a_file_of_schema_1_keeps_its_messages_claims_and_counts(
    file: sqlite3.Connection, path: Path
) -> None:
    now_ms = MovableClock().now_ms()
    migrate(file, path, {1: migrations()[1]}, 1000)
    file.execute("INSERT INTO buckets DEFAULT VALUES")
    file.execute("INSERT INTO queues VALUES (1, 'alpha', 'orders', 1, 1, 0, '{}')")
    file.execute("UPDATE queues SET project = CAST(project AS BLOB), name = CAST(name AS BLOB)")
    file.executemany(
        "INSERT INTO messages (seq, bucket_id, state, expires_ms, posted_ms, ttl_s, media,"
        " client_id, body) VALUES (?, 1, 0, ?, 0, 60, 0, x'', x'30')",
        [(seq, now_ms + 60_000) for seq in (1, 2, 3)],
    )
    file.execute(
        "UPDATE messages SET state = 2, visible_ms = ?, claim_id = CAST('held' AS BLOB),"
        " lease_ms = 30000 WHERE seq = 1",
        (now_ms + 30_000,),
    )
    async with opened(path) as driver:
        queue = QueueHandle(driver, MovableClock())
        assert await queue.counts() == (1, 3)
        await queue.delete(2, claim_ids=[])
        await queue.release("held")
        assert await queue.counts() == (0, 2)
        (seq,) = await queue.post()
        assert await queue.pop(9) == [1, 3, seq]
    assert contradictions(path) == []


async def test_messages_of_schema_3_are_numbered_in_the_order_of_each_queue(
    file: sqlite3.Connection, path: Path
) -> None:
    migrate(file, path, {number: migrations()[number] for number in (1, 2, 3)}, 1000)
    names = [name.encode() for name in ("orders", "returns", "empty")]
    for bucket_id, name in enumerate(names, start=1):
        file.execute("INSERT INTO buckets DEFAULT VALUES")
        file.execute(
            "INSERT INTO queues VALUES (?, ?, ?, ?, 1, 0, x'7b7d')",
            (bucket_id, b"alpha", name, bucket_id),
        )
    file.executemany(
        "INSERT INTO messages (seq, bucket_id, state, expires_ms, posted_ms, ttl_s, media,"
        " client_id, body) VALUES (?, ?, 0, 9e15, 0, 60, 0, x'', x'30')",
        [(seq, 1 + seq % 2) for seq in range(10, 20)] + [(99, 2), (100, 7)],
    )
    file.execute("INSERT INTO garbage VALUES (7)")
    file.execute("UPDATE sequence SET last_seq = 120")
    async with opened(path) as driver:
        orders = QueueHandle(driver, MovableClock())
        returns, empty = orders.on(queue="returns"), orders.on(queue="empty")
        assert [message.number for message in await orders.everything()] == [1, 2, 3, 4, 5]
        assert [message.number for message in await returns.everything()] == [1, 2, 3, 4, 5, 6]
        assert await returns.tail() == Position(120, 6)
        assert await empty.tail() == Position(120, 0)
        (seq,) = await returns.post()
        assert await returns.tail() == Position(seq, 7)


def test_a_server_of_the_version_before_fails_rather_than_miscount(
    file: sqlite3.Connection, path: Path
) -> None:
    migrate(file, path, migrations(), 1000)
    with pytest.raises(sqlite3.OperationalError):
        file.execute("SELECT queue_id, earliest_ms FROM queues JOIN buckets USING (bucket_id)")
