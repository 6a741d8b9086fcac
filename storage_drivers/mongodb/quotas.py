"""Limits, usage and rates of projects."""

from __future__ import annotations

from asyncio import Lock
from collections.abc import Sequence
from weakref import WeakValueDictionary

from pymongo import ASCENDING

from queues.ledgers import QuotaStore
from queues.model import Rate, Usage
from storage_drivers.mongodb import token_buckets, usage
from storage_drivers.mongodb.errors import bounded
from storage_drivers.mongodb.layout import Database, escape, scoped_id, unescape


class MongoQuotas(QuotaStore):
    """Limits in the collection `quotas`, rates in `token_buckets`."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()

    @bounded
    async def put(self, project: str, document: bytes) -> None:
        """See QuotaStore."""
        await self.db.quotas.update_one(
            {"_id": escape(project)}, {"$set": {"document": document}}, upsert=True
        )

    @bounded
    async def get(self, project: str) -> bytes | None:
        """See QuotaStore."""
        doc = await self.db.quotas.find_one({"_id": escape(project)})
        return bytes(doc["document"]) if doc else None

    @bounded
    async def delete(self, project: str) -> None:
        """See QuotaStore."""
        await self.db.quotas.delete_one({"_id": escape(project)})

    @bounded
    async def list(self, *, marker: str | None, limit: int) -> Sequence[tuple[str, bytes]]:
        """See QuotaStore."""
        after = {"$gte": ""} if marker is None else {"$gt": escape(marker)}
        page = self.db.quotas.find({"_id": after}).sort("_id", ASCENDING).limit(limit)
        return [(unescape(doc["_id"]), bytes(doc["document"])) async for doc in page]

    @bounded
    async def usage(self, project: str, *, now_ms: int) -> Usage:
        """See QuotaStore. Counts along indexes, so the cost grows with the messages."""
        return await usage.count(self.db, project, now_ms=now_ms)

    @bounded
    async def take(
        self, project: str, bucket: str, *, tokens: int, rate: Rate, now_ms: int
    ) -> int:
        """See QuotaStore. Calls of one process take turns, so that only processes compete."""
        bucket_id = scoped_id(project, bucket)
        lock = self._locks.setdefault(bucket_id, Lock())
        async with lock:
            return await token_buckets.take(
                self.db, bucket_id, tokens=tokens, rate=rate, now_ms=now_ms
            )
