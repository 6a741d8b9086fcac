"""Migrations run once each, in order, and wholly or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage_drivers.sqlite.connection import connect, create_file
from storage_drivers.sqlite.layout import migrations
from storage_drivers.sqlite.migrations import migrate

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
