"""Connections to the file, set up the one way that keeps an acknowledged write."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from queues.errors import ConfigurationError

#: Below this, SQLite lacks something that the statements need.
_OLDEST_SQLITE = (3, 32, 0)

#: A write-ahead log that grew past this is cut down again once it was copied into the file.
_WAL_BYTES = 64 * 1024 * 1024


def create_file(path: Path) -> None:
    """Make sure that the file is there and can be written; a new one is for its owner alone.

    Raises: ConfigurationError.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        wanted = ".".join(map(str, _OLDEST_SQLITE))
        raise ConfigurationError(
            f"SQLite {sqlite3.sqlite_version} is too old: {wanted} is needed"
        )
    if not path.parent.is_dir():
        raise ConfigurationError(f"storage {path}: the directory {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise ConfigurationError(f"storage {path}: no permission to write in {path.parent}")
    try:
        # NOTE: exclusively, so never a file in use: to close a file drops all POSIX locks that
        # the process has on it, SQLite's too (sqlite.org/howtocorrupt.html, section 2.2).
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise ConfigurationError(
                f"storage {path}: not a file, but a directory or such"
            ) from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise ConfigurationError(
                f"storage {path}: no permission to read and write it"
            ) from None
    except OSError as ex:
        raise ConfigurationError(f"storage {path}: {ex.strerror}") from ex


def connect(path: Path, timeout_ms: int) -> sqlite3.Connection:
    """Open an existing file for one thread. `timeout_ms` bounds the wait for a lock.

    NOTE: never creates the file. If it is gone, so is the data, and to go on with an empty
    one (perhaps below a mount point that is not mounted) would hide that.
    """
    connection = sqlite3.connect(
        f"file:{quote(os.fspath(path.absolute()))}?mode=rw",
        uri=True,
        timeout=timeout_ms / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        connection.execute("PRAGMA temp_store = MEMORY")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


class Link:
    """The connection of one thread, opened when it is needed and again after a failure."""

    def __init__(self, path: Path, timeout_ms: int) -> None:
        self._path = path
        self._timeout_ms = timeout_ms
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def connected(self) -> sqlite3.Connection:
        """Return a connection to the file that is at the path now.

        NOTE: SQLite would go on writing into a file that was deleted or replaced.

        Raises: OSError, sqlite3.Error.
        """
        found = self._path.stat()
        identity = (found.st_dev, found.st_ino)
        if identity != self._identity:
            self.close()
        if self._connection is None:
            self._connection = connect(self._path, self._timeout_ms)
            self._identity = identity
        return self._connection

    def close(self) -> None:
        """Close the connection, undoing what is not committed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
