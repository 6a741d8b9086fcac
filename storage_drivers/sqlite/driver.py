"""The SQLite driver: opens the file, runs the threads, joins the views."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from functools import partial
from pathlib import Path

from queues.errors import ConfigurationError, StorageUnavailable
from queues.model import Health
from queues.storage import Capabilities, Storage
from storage_drivers.sqlite.claims import Claims
from storage_drivers.sqlite.connection import Link, connect, create_file
from storage_drivers.sqlite.credentials import Credentials
from storage_drivers.sqlite.errors import unavailable
from storage_drivers.sqlite.filesystem import warnings
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.layout import database_path, migrations
from storage_drivers.sqlite.messages import Messages
from storage_drivers.sqlite.migrations import migrate
from storage_drivers.sqlite.queues import Queues
from storage_drivers.sqlite.quotas import Quotas
from storage_drivers.sqlite.readers import Reader
from storage_drivers.sqlite.records import Records
from storage_drivers.sqlite.sweep import sweep
from storage_drivers.sqlite.transaction import Transaction
from storage_drivers.sqlite.turn import Turn
from storage_drivers.sqlite.wakeups import Wakeups
from storage_drivers.sqlite.writer import Writer

_log = logging.getLogger(__name__)

_DURABILITY = "SQLite: every acknowledged write is fsynced (WAL, synchronous=FULL)"
_READERS = 2


class Driver(Storage):
    """One SQLite file, shared by any number of server processes of one machine."""

    capabilities = Capabilities(atomic_batches=True, flat_stats=True)

    def __init__(self, url: str, *, timeout_ms: int) -> None:
        """Take the URL apart; nothing is opened before `open`.

        Raises: ConfigurationError.
        """
        self._path = database_path(url)
        self._timeout_ms = timeout_ms
        self._writer: Lane[Transaction] | None = None
        self._readers: Lane[sqlite3.Connection] | None = None
        self._hints: Wakeups | None = None

    async def open(self) -> None:
        """See the contract."""
        await asyncio.to_thread(_prepare, self._path, self._timeout_ms)
        for warning in warnings(self._path):
            _log.warning("storage: %s", warning)
        self.wakeups = self._hints = Wakeups(self._path)
        writers = [Writer(self._link(), Turn(self._path), self._hints.voice)]
        readers = [Reader(self._link()) for _ in range(_READERS)]
        self._writer = Lane("sqlite-writer", writers, timeout_ms=self._timeout_ms)
        self._readers = Lane("sqlite-reader", readers, timeout_ms=self._timeout_ms)
        self._hints.begin(self._writer)
        self.queues = Queues(self._writer, self._readers)
        self.messages = Messages(self._writer, self._readers)
        self.claims = Claims(self._writer, self._readers)
        self.credentials = Credentials(self._writer, self._readers)
        self.quotas = Quotas(self._writer, self._readers)
        self.records = Records(self._writer, self._readers)

    async def close(self) -> None:
        """See the contract."""
        if self._hints is not None:
            await self._hints.close()
        for lane in (self._writer, self._readers):
            if lane is not None:
                await lane.close()

    async def health(self) -> Health:
        """See the contract. Takes the lock for writing and reads the version of the schema."""
        writer, readers = self._opened()
        await writer.run(lambda _: None)
        await readers.run(lambda reader: reader.execute("PRAGMA schema_version").fetchone())
        return Health(durability=_DURABILITY, warnings=tuple(warnings(self._path)))

    async def sweep(self, *, limit: int, now_ms: int) -> int:
        """See the contract."""
        writer, _ = self._opened()
        return await writer.run(partial(sweep, limit=limit, now_ms=now_ms))

    def _link(self) -> Link:
        return Link(self._path, self._timeout_ms)

    def _opened(self) -> tuple[Lane[Transaction], Lane[sqlite3.Connection]]:
        if self._writer is None or self._readers is None:
            raise StorageUnavailable("SQLite: the storage is not open")
        return self._writer, self._readers


def _prepare(path: Path, timeout_ms: int) -> None:
    """Create the file if it is absent, and bring the schema up to date."""
    create_file(path)
    try:
        connection = connect(path, timeout_ms)
        try:
            migrate(connection, path, migrations(), timeout_ms)
        finally:
            connection.close()
    except sqlite3.Error as ex:
        if getattr(ex, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise ConfigurationError(f"storage {path}: the file is no SQLite database") from ex
        raise unavailable(ex) from ex
