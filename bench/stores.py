"""Stores for a measurement: fresh, on cores of their own, and able to say how full they are."""

from __future__ import annotations

import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from bench.client import LoadFailed
from bench.processes import children, pinned
from tests.servers.mongodb import MongoServer, external_mongodb, mongodb_binary
from tests.servers.process import Server
from tests.servers.redis import RedisServer, redis_binary

#: When Redis writes what it has acknowledged to disk.
FSYNC = ("everysec", "always", "no")

_SETTLE_S = 0.3


class Store(ABC):
    """A running store. `pids` are its own processes, none when it lives in the server's."""

    url: str
    pids: Sequence[int] = ()

    @abstractmethod
    def used_bytes(self) -> int:
        """Return how much it holds."""

    def counted(self) -> AbstractContextManager[Callable[[], int]]:
        """Yield what tells how often the store has been asked, by this process at least."""
        raise LoadFailed("what this store is asked is not counted")


class SqliteStore(Store):
    """A file."""

    def __init__(self, folder: Path) -> None:
        """Be a new file in `folder`."""
        self._file = folder / "bench.db"
        self.url = f"sqlite:///{self._file}"

    def used_bytes(self) -> int:
        """Return the size of the file with all of the log in it."""
        with closing(sqlite3.connect(self._file, timeout=10)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return self._file.stat().st_size

    @contextmanager
    def counted(self) -> Iterator[Callable[[], int]]:
        """Count statements of connections that are opened meanwhile."""
        seen: list[str] = []

        def connected(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*args, **kwargs)
            connection.set_trace_callback(seen.append)
            return connection

        connect = sqlite3.connect
        with mock.patch.object(sqlite3, "connect", connected):
            yield lambda: len(seen)


class RedisStore(Store):
    """A Redis server."""

    def __init__(self, server: RedisServer, pids: Sequence[int]) -> None:
        """Use a server that runs."""
        self._server = server
        self.url = server.url
        self.pids = pids

    def used_bytes(self) -> int:
        """Return the memory that Redis has allocated, without what the allocator keeps free.

        NOTE: buffers of clients and of the append-only file are no messages.
        """
        time.sleep(_SETTLE_S)
        with self._server.connect() as connection:
            memory = connection.info("memory")
        buffers = ("mem_clients_normal", "mem_aof_buffer")
        return int(memory["used_memory"]) - sum(int(memory[name]) for name in buffers)

    @contextmanager
    def counted(self) -> Iterator[Callable[[], int]]:
        """Count commands that the server has carried out, but not those that ask for it."""
        asked = 0

        def queries() -> int:
            nonlocal asked
            asked += 1
            return int(connection.info("stats")["total_commands_processed"]) - asked

        with self._server.connect() as connection:
            yield queries


class MongoStore(Store):
    """A server of the MongoDB wire protocol."""

    def __init__(self, url: str, pids: Sequence[int], folder: Path | None) -> None:
        """Use a server that runs; `folder` holds its files, if it is ours."""
        self.url = f"{url}/nusku_bench_{os.getpid()}"
        self.pids = pids
        self._folder = folder

    def used_bytes(self) -> int:
        """Return the size of all files of the server; 0 for one that is not ours."""
        if self._folder is None:
            return 0
        return sum(file.stat().st_size for file in self._folder.rglob("*") if file.is_file())


@contextmanager
def running_store(
    kind: str, folder: Path, *, cores: Collection[int] = (), fsync: str = FSYNC[0]
) -> Iterator[Store]:
    """Start a fresh store of a kind on the given cores. Raises: LoadFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "sqlite":
        yield SqliteStore(folder)
    elif kind == "redis":
        # NOTE: a rewrite of the log, by another process, would fall into some windows only.
        steady = ("--auto-aof-rewrite-percentage", "0")
        server = RedisServer(folder, "--appendfsync", fsync, *steady)
        with _running(server, redis_binary(), cores) as pids:
            yield RedisStore(server, pids)
    elif url := external_mongodb():
        yield MongoStore(url.rstrip("/"), (), None)
    else:
        mongo = MongoServer(folder)
        with _running(mongo, mongodb_binary(), cores) as pids:
            yield MongoStore(mongo.url, pids, folder / "data")


@contextmanager
def _running(
    server: Server, binary: str | None, cores: Collection[int]
) -> Iterator[Sequence[int]]:
    if binary is None:
        raise LoadFailed("the store's server is not installed")
    before = set(children(os.getpid()))
    try:
        with pinned(cores):
            server.start()
        yield sorted(set(children(os.getpid())) - before)
    finally:
        server.kill()
