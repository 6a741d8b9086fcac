"""Buckets of tokens: one document each, replaced by whoever finds it as it was read.

_id     escaped project, a space, escaped bucket
level   what it held at `latest`, fractions included
latest  the latest time that was counted
full    when it is full at the last rate, and may be forgotten
stamp   new with every change
"""

from __future__ import annotations

import asyncio
import math

from pymongo.errors import DuplicateKeyError

from queues.errors import StorageUnavailable
from queues.model import Rate
from storage_drivers.mongodb.layout import NEVER, Database, Document, new_token

#: Attempts while other processes take from the same bucket; each waits a little longer.
_ATTEMPTS = 30
_PAUSE_S = 0.001

#: So near to a whole token counts as one: ten times a tenth is a little less.
_NEARLY = 1e-6


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
    level, latest_ms = (before["level"], before["latest"]) if before else (rate.burst, now_ms)
    passed_ms = max(0, now_ms - latest_ms)
    level = min(rate.burst, level + passed_ms * rate.per_s / 1000)
    taken = min(tokens, int(level + _NEARLY))
    latest_ms += passed_ms
    return taken, {
        "level": float(level - taken),
        "latest": latest_ms,
        "full": min(NEVER, latest_ms + _filling_ms(level - taken, rate)),
        "stamp": new_token(),
    }


def _filling_ms(level: float, rate: Rate) -> int:
    """Return how long it takes until a bucket is full."""
    missing = rate.burst - level
    if missing * 1000 >= NEVER * rate.per_s:
        return NEVER
    return math.ceil(missing * 1000 / rate.per_s)
