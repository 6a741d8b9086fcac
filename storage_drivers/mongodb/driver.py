"""The driver: connects, checks, makes the indexes, and joins the views."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import ConfigurationError as InvalidOption
from pymongo.errors import InvalidName, InvalidURI, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from queues.errors import ConfigurationError
from queues.model import Health
from queues.storage import Capabilities, Storage
from storage_drivers.mongodb import indexes, sweep
from storage_drivers.mongodb import url as urls
from storage_drivers.mongodb.claims import MongoClaims
from storage_drivers.mongodb.credentials import MongoCredentials
from storage_drivers.mongodb.errors import bounded
from storage_drivers.mongodb.layout import Database, Document
from storage_drivers.mongodb.messages import MongoMessages
from storage_drivers.mongodb.posting import Poster
from storage_drivers.mongodb.queues import MongoQueues
from storage_drivers.mongodb.quotas import MongoQuotas
from storage_drivers.mongodb.records import MongoRecords
from storage_drivers.mongodb.wakeups import MongoWakeups

_log = logging.getLogger(__name__)

#: MongoDB 5.0, the oldest that the driver is written for.
_OLDEST_WIRE_VERSION = 13

_REFUSED = frozenset({13, 18, 85, 86})  # not authorised, login failed, conflicting indexes

_STANDALONE = (
    "MongoDB is a standalone server: what it acknowledges survives a crash, but not the loss "
    "of its disk; a replica set keeps copies"
)


class Driver(Storage):
    """A storage on MongoDB; see README.md for what it promises."""

    def __init__(self, url: str, *, timeout_ms: int) -> None:
        self._url = urls.checked(url)
        self._client: AsyncIOMotorClient[Any] | None = None
        self.db = Database(timeout_ms)
        self._poster = Poster(self.db)
        self.capabilities = Capabilities(atomic_batches=False, flat_stats=False)
        self.queues = MongoQueues(self.db)
        self.messages = MongoMessages(self.db, self._poster)
        self.claims = MongoClaims(self.db)
        self.credentials = MongoCredentials(self.db)
        self.quotas = MongoQuotas(self.db)
        self.records = MongoRecords(self.db)
        self.wakeups = self._wakeups = MongoWakeups(self.db)
        self.db.hint, self.db.tell = self._wakeups.hint, self._wakeups.tell_queue

    async def open(self) -> None:
        """See Storage."""
        self._client = self._connect()
        try:
            await self._prepare()
        except BaseException:
            await _disconnect(self._client)
            raise

    def _connect(self) -> AsyncIOMotorClient[Any]:
        timeout_ms = self.db.timeout_ms
        try:
            return AsyncIOMotorClient(
                self._url,
                appname="nusku",
                timeoutMS=timeout_ms,
                serverSelectionTimeoutMS=timeout_ms,
                connectTimeoutMS=timeout_ms,
                w="majority",
                journal=True,
                readPreference="primary",
            )
        except (InvalidURI, InvalidOption, ValueError, TypeError) as ex:
            # SECURITY: the library's text may quote the URL, so only its kind is told.
            raise ConfigurationError(
                f"storage mongodb: the URL is not valid ({type(ex).__name__})"
            ) from None

    @bounded
    async def _prepare(self) -> None:
        try:
            hello = await self._hello()
        except InvalidOption as ex:
            raise urls.refusal(self._url) from ex
        if hello.get("maxWireVersion", 0) < _OLDEST_WIRE_VERSION:
            raise ConfigurationError(urls.TOO_OLD)
        try:
            self._find_collections(hello)
            await indexes.make(self.db)
        except (InvalidName, OperationFailure) as ex:
            if isinstance(ex, OperationFailure) and ex.code not in _REFUSED:
                raise
            raise ConfigurationError(f"storage mongodb: {ex}") from ex
        if _is_standalone(hello):
            _log.warning(_STANDALONE)

    async def _hello(self) -> Document:
        hello: Document = await self._opened.admin.command("hello")
        return hello

    @property
    def _opened(self) -> AsyncIOMotorClient[Any]:
        assert self._client is not None, "open() comes first"  # noqa: S101 (a programming error)
        return self._client

    def _find_collections(self, hello: Document) -> None:
        """Read what a majority has, where there is one to ask."""
        standalone = _is_standalone(hello)
        level = ReadConcern(None if standalone else "majority")
        database = self._opened.get_database(urls.database_name(self._url), read_concern=level)
        self.db.queues = database["queues"]
        self.db.messages = database["messages"]
        self.db.answers = database["answers"]
        self.db.credentials = database["credentials"]
        self.db.quotas = database["quotas"]
        self.db.records = database["records"]
        # PERF: the contract lets buckets of tokens be lost, so nobody waits for a journal.
        self.db.token_buckets = database["token_buckets"].with_options(
            read_concern=ReadConcern("local"), write_concern=WriteConcern(w=1, j=False)
        )
        # NOTE: on shards a stream may be ten seconds late: it waits for those with no writes.
        self.db.streams = hello.get("msg") != "isdbgrid"
        self.db.told = database["queues"].with_options(write_concern=WriteConcern(w=1, j=False))
        self.db.sharded = hello.get("msg") == "isdbgrid"
        if not standalone:
            self.db.causal = self._session

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Any]:
        async with await self._opened.start_session(causal_consistency=True) as session:
            yield session

    async def close(self) -> None:
        """See Storage."""
        await self._poster.drain()
        await self._wakeups.close()
        if self._client is not None:
            await _disconnect(self._client)

    @bounded
    async def health(self) -> Health:
        """See Storage."""
        if _is_standalone(await self._hello()):
            return Health("journaled on one standalone server", (_STANDALONE,))
        return Health("journaled on a majority of the replica set")

    @bounded
    async def sweep(self, *, limit: int, now_ms: int) -> int:
        """See Storage."""
        return await sweep.sweep(self.db, limit=limit, now_ms=now_ms)


async def _disconnect(client: AsyncIOMotorClient[Any]) -> None:
    """Close all connections; in a thread, because the client says goodbye to the server.

    The threads of the client that watch the server end when they next wake up, at most about
    a second later.
    """
    await asyncio.to_thread(client.close)


def _is_standalone(hello: Document) -> bool:
    """Say whether this is neither a member of a replica set nor a router of shards."""
    return "setName" not in hello and hello.get("msg") != "isdbgrid"
