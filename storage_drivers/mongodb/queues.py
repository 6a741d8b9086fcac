"""Queues and their metadata: one document each, changed by conditional updates only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo import ASCENDING, DESCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from queues.errors import QueueChanged, QueueNotFound, StorageUnavailable
from queues.ids import first_sequence
from queues.model import Message, Queue, Stats
from queues.storage import QueueStore
from storage_drivers.mongodb import codec
from storage_drivers.mongodb.errors import bounded
from storage_drivers.mongodb.layout import (
    HIDDEN,
    TOMBSTONE_MS,
    Database,
    Document,
    bucket_ids,
    escape,
    new_token,
    queue_id,
)

#: Attempts of a conditional change while others change the same queue.
_ATTEMPTS = 20

#: What calls on messages need to know of a queue.
LIVE = {"bucket": 1, "life": 1, "version": 1, "seq": 1, "open": 1}

_SHOWN = {"name": 1, "metadata": 1, "version": 1, "created": 1, "bucket": 1, "seq": 1}


class MongoQueues(QueueStore):
    """Queues in the collection `queues`."""

    def __init__(self, db: Database) -> None:
        self.db = db

    @bounded
    async def create(
        self, project: str, queue: str, *, metadata: bytes, version: int, now_ms: int
    ) -> tuple[Queue, bool]:
        """See QueueStore."""
        return await create_queue(
            self.db, project, queue, metadata=metadata, version=version, now_ms=now_ms
        )

    @bounded
    async def get(self, project: str, queue: str) -> Queue | None:
        """See QueueStore."""
        return await _find(self.db, queue_id(project, queue))

    @bounded
    async def update(
        self, project: str, queue: str, *, metadata: bytes, expected_version: int, version: int
    ) -> Queue:
        """See QueueStore."""
        key = queue_id(project, queue)
        doc = await self.db.queues.find_one_and_update(
            {"_id": key, "live": True, "version": expected_version},
            {"$set": {"metadata": metadata, "version": version}},
            projection=_SHOWN,
            return_document=ReturnDocument.AFTER,
        )
        if doc is not None:
            return _noted(self.db, doc)
        if await _find(self.db, key) is None:
            raise QueueNotFound(queue)
        raise QueueChanged(queue)

    @bounded
    async def delete(self, project: str, queue: str, *, now_ms: int) -> None:
        """See QueueStore."""
        changes = {
            "$set": {"live": False, "gone": now_ms + TOMBSTONE_MS, "open": {}},
            "$unset": {"metadata": "", "version": "", "life": "", "bucket": ""},
        }
        await self._drop_bucket(queue_id(project, queue), changes)

    @bounded
    async def purge(self, project: str, queue: str, *, now_ms: int) -> None:
        """See QueueStore."""
        changes = {"$set": {"bucket": new_token(), "open": {}}}
        await self._drop_bucket(queue_id(project, queue), changes)

    async def _drop_bucket(self, key: str, changes: Document) -> None:
        """Make `changes`, which leave the bucket, and leave it to the sweep, in one step."""
        for _ in range(_ATTEMPTS):
            doc = await find_live(self.db, key)
            if doc is None:
                return
            dropped = await self.db.queues.update_one(
                {"_id": key, "bucket": doc["bucket"]},
                {
                    **changes,
                    "$set": changes["$set"] | {"leftover": True},
                    "$push": {"dropped": doc["bucket"]},
                },
            )
            if dropped.matched_count:
                return
        raise StorageUnavailable("too many changes of one queue at the same time")

    @bounded
    async def list(self, project: str, *, marker: str, limit: int) -> Sequence[Queue]:
        """See QueueStore."""
        found = self.db.queues.find(
            {"project": escape(project), "live": True, "name": {"$gt": escape(marker)}}, _SHOWN
        )
        return [codec.queue(doc) async for doc in found.sort("name", ASCENDING).limit(limit)]

    @bounded
    async def count(self, project: str) -> int:
        """See QueueStore."""
        mine = {"project": escape(project), "live": True}
        return int(await self.db.queues.count_documents(mine))

    @bounded
    async def stats(self, project: str, queue: str, *, now_ms: int) -> Stats:
        """See QueueStore. Counts along an index, so the cost grows with the depth."""
        doc = await find_live(self.db, queue_id(project, queue))
        if doc is None:
            return Stats(claimed=0, total=0, oldest=None, newest=None)
        messages = self.db.messages
        here = {"b": doc["bucket"], "visible": {"$lt": HIDDEN}, "expires": {"$gt": now_ms}}
        leased = here | {"claim": {"$gt": ""}, "visible": {"$gt": now_ms, "$lt": HIDDEN}}
        return Stats(
            claimed=await messages.count_documents(leased),
            total=await messages.count_documents(here),
            oldest=await self._end(here, ASCENDING, now_ms),
            newest=await self._end(here, DESCENDING, now_ms),
        )

    async def _end(self, here: Document, direction: int, now_ms: int) -> Message | None:
        doc = await self.db.messages.find_one(
            here | {"_id": bucket_ids(here["b"])}, sort=[("_id", direction)], hint="_id_"
        )
        return codec.message(doc, now_ms) if doc else None


async def find_live(db: Database, key: str, session: Any = None) -> Document | None:
    """Return what calls on messages need to know of a queue, or None if it is absent."""
    doc: Document | None = await db.queues.find_one(
        {"_id": key, "live": True},
        LIVE,
        session=session,
    )
    if doc is not None:
        db.remember(key, bucket=doc["bucket"], seq=doc["seq"])
    return doc


async def _find(db: Database, key: str) -> Queue | None:
    doc = await db.queues.find_one({"_id": key, "live": True}, _SHOWN)
    return _noted(db, doc) if doc else None


def _noted(db: Database, doc: Document) -> Queue:
    """Return the queue, and remember what spares the next post to it a command."""
    db.remember(doc["_id"], bucket=doc["bucket"], seq=doc["seq"])
    return codec.queue(doc)


async def create_queue(
    db: Database, project: str, queue: str, *, metadata: bytes, version: int, now_ms: int
) -> tuple[Queue, bool]:
    """Create the queue or find it; see `QueueStore.create`."""
    key = queue_id(project, queue)
    created: Document = {
        "project": escape(project),
        "name": escape(queue),
        "metadata": metadata,
        "version": version,
        "created": now_ms,
        "live": True,
        "life": new_token(),
        "bucket": new_token(),
        "open": {},
    }
    changes: Document = {
        "$set": created,
        "$max": {"seq": first_sequence(now_ms)},
        "$unset": {"gone": ""},
    }
    for _ in range(_ATTEMPTS):
        existing = await _find(db, key)
        if existing is not None:
            return existing, False
        try:
            # NOTE: revives a tombstone or inserts; a live queue has the _id and refuses.
            done = await db.queues.update_one({"_id": key, "live": False}, changes, upsert=True)
        except DuplicateKeyError:
            continue
        if done.upserted_id is not None:
            db.remember(key, bucket=created["bucket"], seq=changes["$max"]["seq"])
        return codec.queue(created), True
    raise StorageUnavailable("too many changes of one queue at the same time")
