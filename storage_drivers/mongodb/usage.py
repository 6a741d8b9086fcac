"""Usage of a project, counted along indexes: no body is read, but one key for each message."""

from __future__ import annotations

from collections.abc import Sequence

from queues.model import Usage
from storage_drivers.mongodb.layout import HIDDEN, Database, Document, escape

#: So many queues are counted by one command.
_QUEUES_PER_COMMAND = 1000


async def count(db: Database, project: str, *, now_ms: int) -> Usage:
    """Count what the project has stored; see `QuotaStore.usage`."""
    live = db.queues.find({"project": escape(project), "live": True}, {"_id": 0, "bucket": 1})
    buckets = [doc["bucket"] async for doc in live]
    messages = body_bytes = claimed = 0
    for first in range(0, len(buckets), _QUEUES_PER_COMMAND):
        some = buckets[first : first + _QUEUES_PER_COMMAND]
        stored = await _stored(db, some)
        messages += stored["messages"]
        body_bytes += stored["bytes"]
        claimed += await _claimed(db, some, now_ms)
    return Usage(len(buckets), messages, body_bytes, claimed)


async def _stored(db: Database, buckets: Sequence[str]) -> Document:
    pipeline = [
        {"$match": {"b": {"$in": buckets}, "visible": {"$lt": HIDDEN}}},
        {"$group": {"_id": None, "messages": {"$sum": 1}, "bytes": {"$sum": "$size"}}},
    ]
    found = await db.messages.aggregate(pipeline, hint="ready").to_list(None)
    return found[0] if found else {"messages": 0, "bytes": 0}


async def _claimed(db: Database, buckets: Sequence[str], now_ms: int) -> int:
    leased = {
        "b": {"$in": buckets},
        "claim": {"$gt": ""},
        "visible": {"$gt": now_ms, "$lt": HIDDEN},
    }
    return int(await db.messages.count_documents(leased, hint="claimed"))
