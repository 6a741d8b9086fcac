"""The sweep: bounded batches that any number of processes may run at the same time."""

from __future__ import annotations

from pymongo import ASCENDING

from storage_drivers.mongodb import dead_letters, leasing
from storage_drivers.mongodb.layout import (
    FRESH,
    MOVING,
    TOMBSTONE_MS,
    Collection,
    Database,
    Document,
    bucket_ids,
)


async def sweep(db: Database, *, limit: int, now_ms: int) -> int:
    """Deal with up to about `limit` documents of each kind and return how many there were."""
    return (
        await _finish_moves(db, limit, now_ms)
        + await leasing.reap(db, {}, limit, now_ms)
        + await leasing.promote(db, {}, limit, now_ms)
        + await _empty_dropped_buckets(db, limit)
        + await _remove(db.answers, {"until": {"$lte": now_ms}}, "until", limit)
        + await _remove(
            db.queues,
            {"gone": {"$gt": FRESH, "$lte": now_ms}, "leftover": {"$exists": False}},
            "gone",
            limit,
        )
        + await _date_what_was_told(db, limit, now_ms)
        + await _remove(db.credentials, {"expires": {"$lte": now_ms}}, "expires", limit)
        + await _remove(db.records, {"expires": {"$lte": now_ms}}, "expires", limit)
        + await _remove(db.token_buckets, {"full": {"$lte": now_ms}}, "full", limit)
    )


async def _finish_moves(db: Database, limit: int, now_ms: int) -> int:
    moving = await db.messages.find({"visible": MOVING}).limit(limit).to_list(None)
    await dead_letters.finish(db, moving, now_ms=now_ms)
    return len(moving)


async def _empty_dropped_buckets(db: Database, limit: int) -> int:
    """Remove messages of buckets that no queue uses any more, one bucket at a time."""
    doc = await db.queues.find_one({"leftover": True}, {"dropped": 1})
    if doc is None:
        return 0
    removed, queue = 0, {"_id": doc["_id"]}
    # NOTE: there is none where a sweep is between its last two commands, or died there.
    for bucket in doc["dropped"][:1]:
        here = {"b": bucket, "_id": bucket_ids(bucket)}
        removed = await _remove(db.messages, here, "_id", limit)
        if removed < limit:
            await db.queues.update_one(queue, {"$pull": {"dropped": bucket}})
    await db.queues.update_one(queue | {"dropped": {"$size": 0}}, {"$unset": {"leftover": ""}})
    return removed + 1


async def _date_what_was_told(db: Database, limit: int, now_ms: int) -> int:
    """Say when the documents of topics may be removed; whoever tells knows no time."""
    fresh = await db.queues.find({"gone": FRESH}, {"_id": 1}).limit(limit).to_list(None)
    if not fresh:
        return 0
    dated = await db.queues.update_many(
        {"_id": {"$in": [doc["_id"] for doc in fresh]}, "gone": FRESH},
        {"$set": {"gone": now_ms + TOMBSTONE_MS}},
    )
    return int(dated.modified_count)


async def _remove(collection: Collection, where: Document, first: str, limit: int) -> int:
    """Remove up to `limit` documents in the order of the field `first`, which has an index."""
    found = collection.find(where, {"_id": 1}).sort(first, ASCENDING).limit(limit)
    ids = [doc["_id"] for doc in await found.to_list(None)]
    if not ids:
        return 0
    removed = await collection.delete_many(where | {"_id": {"$in": ids}})
    return int(removed.deleted_count)
