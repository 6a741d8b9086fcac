"""What a failure of SQLite means to the caller."""

from __future__ import annotations

import sqlite3

from queues.errors import StorageUnavailable

#: Failures of one statement. They leave the transaction and the file as they were.
STATEMENT_ERRORS = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
)


def is_store_failure(ex: BaseException) -> bool:
    """Say whether the store failed (busy, full, I/O, corrupt) and not just one statement."""
    return isinstance(ex, sqlite3.Error) and not isinstance(ex, STATEMENT_ERRORS)


def unavailable(ex: BaseException) -> StorageUnavailable:
    """Return the error to raise for a failing store, with its cause attached."""
    name = getattr(ex, "sqlite_errorname", type(ex).__name__)
    error = StorageUnavailable(f"SQLite: {ex} ({name})")
    error.__cause__ = ex
    return error
