"""Buckets of tokens: one document each, replaced by whoever finds it as it was read.

_id     escaped project, a space, escaped bucket
level   what it held at `latest`, fractions included
latest  the latest time that was counted
full    when it is full at the last rate, and may be forgotten
stamp   new with every change
"""

from __future__ import annotations

import asyncio

from pymongo.errors import DuplicateKeyError

from queues import token_bucket
from queues.errors import StorageUnavailable
from queues.model import Rate
from queues.token_bucket import Bucket
from storage_drivers.mongodb.layout import NEVER, Database, Document, new_token

#: Attempts while other processes take from the same bucket; each waits a little longer.
_ATTEMPTS = 30
_PAUSE_S = 0.001


async def take(db: Database, bucket_id: str, *, tokens: int, rate: Rate, now_ms: int) -> int:
    """Take up to `tokens`; see `QuotaStore.take`.

    Raises: StorageUnavailable; PyMongoError.
    """
    for attempt in range(_ATTEMPTS):
        await asyncio.sleep(attempt * _PAUSE_S)
        before = await db.token_buckets.find_one({"_id": bucket_id})
        taken, after = _taken(before, tokens, rate, now_ms)
        if await _replace(db, bucket_id, before, after):
            return taken
    raise StorageUnavailable("too many processes take from one bucket at the same time")


async def _replace(
    db: Database, bucket_id: str, before: Document | None, after: Document
) -> bool:
    """Say whether nobody else has changed the bucket since."""
    if before is None:
        try:
            await db.token_buckets.insert_one({"_id": bucket_id, **after})
        except DuplicateKeyError:
            return False
        return True
    same = {"_id": bucket_id, "stamp": before["stamp"]}
    changed = await db.token_buckets.update_one(same, {"$set": after})
    return bool(changed.matched_count)


def _taken(
    before: Document | None, tokens: int, rate: Rate, now_ms: int
) -> tuple[int, Document]:
    """Return how many tokens can be taken, and the bucket without them."""
    bucket = Bucket(before["level"], before["latest"]) if before else None
    taken, after = token_bucket.take(bucket, tokens, rate, now_ms)
    return taken, {
        "level": after.level,
        "latest": after.latest_ms,
        "full": token_bucket.full_ms(after, rate, NEVER),
        "stamp": new_token(),
    }
