"""Answers remembered under idempotency keys: one document a key, decided once.

_id          life of the queue and the escaped key, so a deleted queue's keys are gone
fingerprint  of the request; absent while only attempts were refused, see staging.py
until        when the answer may be forgotten
token        of the attempt whose answer it is
first        post: the first sequence; count: how many follow one another
claim, done  claim: its id, and whether that attempt is known to be over
no           attempts that came too late
"""

from __future__ import annotations

from typing import Any

from pymongo.errors import DuplicateKeyError

from queues.errors import IdempotencyKeyReused
from queues.model import Idempotency
from storage_drivers.mongodb.layout import Database, Document, answer_id


async def find(
    db: Database, life: str, idempotency: Idempotency, now_ms: int
) -> Document | None:
    """Return the answer under the key, or None if there is none (any more).

    Raises: IdempotencyKeyReused.
    """
    key = answer_id(life, idempotency.key)
    doc: Document | None = await db.answers.find_one({"_id": key})
    if doc is None or "fingerprint" not in doc:
        return None
    if doc["until"] <= now_ms:
        await db.answers.delete_one({"_id": key, "until": doc["until"]})
        return None
    if doc["fingerprint"] != idempotency.fingerprint:
        raise IdempotencyKeyReused(idempotency.key)
    return doc


async def record(
    db: Database, life: str, idempotency: Idempotency, now_ms: int, token: str, **answer: Any
) -> bool:
    """Make `answer` the one for the key. False: another is, or the attempt is refused."""
    key = answer_id(life, idempotency.key)
    fields = {
        "fingerprint": idempotency.fingerprint,
        "until": now_ms + idempotency.window_ms,
        "token": token,
        **answer,
    }
    undecided = {
        "_id": key,
        "fingerprint": {"$exists": False},
        f"no.{token}": {"$exists": False},
    }
    try:
        await db.answers.update_one(undecided, {"$set": fields}, upsert=True)
    except DuplicateKeyError:
        return False
    return True


async def mark_done(db: Database, life: str, idempotency: Idempotency, token: str) -> bool:
    """Mark the answer of the attempt `token` as done. False: it is another's by now."""
    mine = {"_id": answer_id(life, idempotency.key), "token": token}
    changed = await db.answers.update_one(mine, {"$set": {"done": True}})
    return bool(changed.matched_count)


async def forget(db: Database, life: str, idempotency: Idempotency, token: str) -> None:
    """Remove the answer of the attempt `token` if it is not done yet."""
    mine = {"_id": answer_id(life, idempotency.key), "token": token, "done": False}
    await db.answers.delete_one(mine)
