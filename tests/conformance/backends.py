"""The stores that the suite runs on: where a fresh namespace is, and how to break a store."""

from __future__ import annotations

import secrets
import sqlite3
from abc import ABC, abstractmethod
from itertools import count
from pathlib import Path

from queues.storage import Storage
from storage_drivers import open_storage
from tests.conformance.reference import ReferenceStorage
from tests.conformance.sealing import AllSealed
from tests.conformance.world import World
from tests.servers.mongodb import MongoServer, connect
from tests.servers.process import free_port
from tests.servers.redis import RedisCluster, RedisServer


class Backend(ABC):
    """One kind of store, for the whole session.

    `depth` is how many messages "very many" are: fewer where the server is slow.
    `history_share` is the part of the budget of random histories that it can bear.
    `can_close` says whether an instance holds anything that closing takes away.
    `can_fail` says whether `stop` works here.
    `can_restart` says whether the store is a process of ours that a test may kill.
    `reads_survive_outage` says whether reading goes on after `stop`.
    """

    name: str
    depth = 3000
    history_share = 1.0
    can_close = True
    can_fail = True
    can_restart = True
    reads_survive_outage = False

    @abstractmethod
    def fresh_url(self, tmp_path: Path) -> str:
        """Return the URL of a namespace that nobody has used before."""

    def storage(self, url: str, *, timeout_ms: int) -> Storage:
        """Return a driver for the namespace, not yet opened."""
        return open_storage(url, timeout_ms=timeout_ms)

    def beneath(self, url: str, *, timeout_ms: int) -> Storage:
        """Return what keeps the bytes: the driver itself, unless something stands before."""
        return self.storage(url, timeout_ms=timeout_ms)

    def discard(self, url: str) -> None:
        """Remove the namespace; by default it goes with the server or the folder."""
        del url

    def unreachable_url(self, password: str) -> str | None:
        """Return the URL of a store that is not there, with a password in it, if possible."""
        del password
        return None

    def pause(self) -> None:
        """Make the store accept calls and answer none. Only where `can_restart`."""
        raise NotImplementedError(self.name)

    def resume(self) -> None:
        """Let a paused store go on."""
        raise NotImplementedError(self.name)

    @abstractmethod
    def stop(self, url: str) -> None:
        """Make the store fail, like a crash of its server."""

    @abstractmethod
    def start(self, url: str) -> None:
        """Bring the store back with all that it had acknowledged."""


class ReferenceBackend(Backend):
    """The model of `test_history`, so that model and suite keep each other honest."""

    name = "reference"
    can_close = False
    can_fail = False
    can_restart = False

    def __init__(self) -> None:
        self._worlds: dict[str, World] = {}

    def fresh_url(self, tmp_path: Path) -> str:
        return f"reference://{secrets.token_hex(6)}"

    def storage(self, url: str, *, timeout_ms: int) -> Storage:
        return ReferenceStorage(self._worlds.setdefault(url, World()))

    def discard(self, url: str) -> None:
        self._worlds.pop(url, None)

    def stop(self, url: str) -> None:
        raise NotImplementedError("memory does not fail")

    def start(self, url: str) -> None:
        raise NotImplementedError("memory does not fail")


class SqliteBackend(Backend):
    """A file. Its outage is a foreign process that holds the write lock."""

    name = "sqlite"
    history_share = 0.5
    can_restart = False
    reads_survive_outage = True

    def __init__(self) -> None:
        self._lock: sqlite3.Connection | None = None
        self._numbers = count()

    def fresh_url(self, tmp_path: Path) -> str:
        # NOTE: short, since the path of a socket has room for 107 bytes. Without one, each
        # wake-up takes more than a second.
        return f"sqlite:///{tmp_path / str(next(self._numbers))}.db"

    def stop(self, url: str) -> None:
        path = url.removeprefix("sqlite:///")
        self._lock = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._lock.execute("BEGIN IMMEDIATE")

    def start(self, url: str) -> None:
        if self._lock is not None:
            self._lock.rollback()
            self._lock.close()
            self._lock = None


class SealedBackend(SqliteBackend):
    """A file in which every message is encrypted."""

    name = "sqlite-sealed"
    depth = 300
    history_share = 0.1

    def __init__(self) -> None:
        super().__init__()
        self._keys = {"current": secrets.token_bytes(32), "older": secrets.token_bytes(32)}

    def storage(self, url: str, *, timeout_ms: int) -> Storage:
        return AllSealed(self.beneath(url, timeout_ms=timeout_ms), self._keys)

    def beneath(self, url: str, *, timeout_ms: int) -> Storage:
        return super().storage(url, timeout_ms=timeout_ms)


class RedisBackend(Backend):
    """A Redis server or cluster of the session; the namespace is a key prefix."""

    history_share = 0.5

    def __init__(self, name: str, server: RedisServer | RedisCluster) -> None:
        self.name = name
        self._server = server

    def fresh_url(self, tmp_path: Path) -> str:
        return f"{self._server.url}?namespace={secrets.token_hex(6)}"

    def unreachable_url(self, password: str) -> str:
        scheme = self._server.url.partition(":")[0]
        return f"{scheme}://somebody:{password}@127.0.0.1:{free_port()}"

    def pause(self) -> None:
        self._server.pause()

    def resume(self) -> None:
        self._server.resume()

    def stop(self, url: str) -> None:
        self._server.kill()

    def start(self, url: str) -> None:
        self._server.restart()


class MongoBackend(Backend):
    """A MongoDB server; the namespace is a database. `server` is None if it is not ours."""

    name = "mongodb"
    depth = 300
    history_share = 0.06

    def __init__(self, url: str, server: MongoServer | None) -> None:
        self._url = url
        self._server = server
        self.can_fail = self.can_restart = server is not None

    def fresh_url(self, tmp_path: Path) -> str:
        base, _, options = self._url.partition("?")
        database = f"nusku_test_{secrets.token_hex(6)}"
        return f"{base.rstrip('/')}/{database}" + (f"?{options}" if options else "")

    def unreachable_url(self, password: str) -> str:
        return f"mongodb://somebody:{password}@127.0.0.1:{free_port()}/nusku"

    def pause(self) -> None:
        assert self._server is not None, "an outage needs a server of ours"
        self._server.pause()

    def resume(self) -> None:
        assert self._server is not None, "an outage needs a server of ours"
        self._server.resume()

    def discard(self, url: str) -> None:
        with connect(url) as connection:
            connection.drop_database(connection.get_default_database().name)

    def stop(self, url: str) -> None:
        assert self._server is not None, "an outage needs a server of ours"
        self._server.kill()

    def start(self, url: str) -> None:
        assert self._server is not None, "an outage needs a server of ours"
        self._server.restart()
