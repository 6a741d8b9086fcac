"""Bring a file to the schema of this version, or refuse it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from queues.errors import ConfigurationError
from storage_drivers.sqlite.layout import APPLICATION_ID

_PAUSE_S = 0.01


def migrate(
    connection: sqlite3.Connection, path: Path, scripts: Mapping[int, str], timeout_ms: int
) -> None:
    """Run the scripts above the file's version, each in a transaction of its own.

    Any number of processes may do this at the same time; each script runs once.

    Raises: ConfigurationError for a file of another application or of a newer version.
    """
    _check_owner(connection, path, max(scripts))
    if _pragma(connection, "schema_version") == 0:
        # NOTE: must come before all else. The sweep returns free space, see sweep.py.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _use_wal(connection, path, timeout_ms)
    # NOTE: a script may have to sort all that is stored.
    connection.execute("PRAGMA temp_store = FILE")
    for number, script in scripts.items():
        if _pragma(connection, "user_version") < number:
            _run(connection, path, number, script, max(scripts))


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _check_owner(connection: sqlite3.Connection, path: Path, newest: int) -> None:
    version = _pragma(connection, "user_version")
    if _pragma(connection, "schema_version") == 0:
        return
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise ConfigurationError(f"storage {path}: the file belongs to another application")
    if version > newest:
        raise ConfigurationError(
            f"storage {path}: the file has schema {version}, written by a newer version of"
            f" Nusku; this one knows schemas up to {newest}"
        )


def _use_wal(connection: sqlite3.Connection, path: Path, timeout_ms: int) -> None:
    """Switch to write-ahead logging, which needs the file for itself for a moment.

    NOTE: SQLite does not wait for locks while it changes the journal mode, so we do.
    """
    deadline = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as ex:
            if ex.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)
    if mode != "wal":
        raise ConfigurationError(
            f"storage {path}: write-ahead logging does not work on this file system"
        )


def _run(
    connection: sqlite3.Connection, path: Path, number: int, script: str, newest: int
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        _check_owner(connection, path, newest)
        if _pragma(connection, "user_version") < number:
            for statement in _split(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _split(script: str) -> Iterator[str]:
    """Yield the statements of a script; a trigger has semicolons inside."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
