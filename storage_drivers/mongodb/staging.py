"""Messages that are inserted first and decided on after, for writes that happen once.

A keyed post and a move to a dead-letter queue must not happen twice, also when a process
dies at any point and another one repeats it. So every attempt inserts its own messages as
STAGED, seen by nobody; then one conditional update of the *deciding document* names the
attempt that counts; then that attempt's messages are shown. Everybody can finish what a
decision began, and delete what lost it; nobody inserts after the decision, so a message
that was shown and consumed never comes back.

The deciding document is the record of the idempotency key (`stage.key`), or the message
that is being moved (`stage.source`). A fence adds the attempt to its `no`, and then it is
too late to decide for that attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from storage_drivers.mongodb.errors import stored_before_duplicate
from storage_drivers.mongodb.layout import (
    MOVING,
    STAGED,
    TOMBSTONE_MS,
    Database,
    Document,
    message_ids,
)


def stage(doc: Document, token: str, **decider: str) -> Document:
    """Return the message as staged by the attempt `token`; `decider` leads to the decision."""
    staged = {"token": token, "visible": doc["visible"], **decider}
    return doc | {"visible": STAGED, "stage": staged}


async def insert(db: Database, token: str, docs: Sequence[Document]) -> bool:
    """Insert staged messages. False: a fence was met, and nothing of them is left."""
    try:
        await db.messages.insert_many(docs)
    except BulkWriteError as ex:
        stored_before_duplicate(ex)
        await discard(db, token, docs)
        return False
    return True


async def show(db: Database, token: str, docs: Sequence[Document]) -> None:
    """Make staged messages of the attempt `token` part of their queue. Repeatable."""
    if not docs:
        return
    await db.messages.bulk_write(
        [
            UpdateOne(
                _staged(doc, token),
                {"$set": {"visible": doc["stage"]["visible"]}, "$unset": {"stage": ""}},
            )
            for doc in docs
        ],
        ordered=False,
    )


async def show_all(db: Database, bucket: str, token: str, seqs: Iterable[int]) -> None:
    """Show what is still staged of a decided attempt, whoever made it."""
    await show(db, token, await left(db, bucket, token, seqs))


async def left(
    db: Database, bucket: str, token: str, seqs: Iterable[int]
) -> Sequence[Document]:
    """Return what is still staged of an attempt."""
    condition = {
        "_id": {"$in": message_ids(bucket, seqs)},
        "b": bucket,
        "visible": STAGED,
        "stage.token": token,
    }
    found = db.messages.find(condition, {"b": 1, "stage": 1})
    staged: Sequence[Document] = await found.to_list(None)
    return staged


async def discard(db: Database, token: str, docs: Sequence[Document]) -> None:
    """Delete what is still staged of the attempt `token`. Repeatable."""
    if docs:
        ids = [doc["_id"] for doc in docs]
        await db.messages.delete_many(
            {
                "_id": {"$in": ids},
                "b": docs[0]["b"],
                "visible": STAGED,
                "stage.token": token,
            }
        )


def _staged(doc: Document, token: str) -> Document:
    return {"_id": doc["_id"], "b": doc["b"], "visible": STAGED, "stage.token": token}


async def settle(
    db: Database, bucket: str, token: str, between: Document, *, now_ms: int
) -> None:
    """Decide on all staged messages of an attempt that seems dead, and see it through."""
    staged = db.messages.find(
        between | {"visible": STAGED, "stage.token": token}, {"b": 1, "stage": 1}
    )
    won: list[Document] = []
    lost: list[Document] = []
    for doc in await staged.to_list(None):
        (won if await _has_won(db, doc, token, now_ms) else lost).append(doc)
    await show(db, token, won)
    await discard(db, token, lost)


async def _has_won(db: Database, doc: Document, token: str, now_ms: int) -> bool:
    """Say whether the decision fell for the attempt; if it is open, decide against it."""
    if "key" in doc["stage"]:
        return await _key_won(db, doc["stage"]["key"], token, now_ms)
    return await _move_won(db, doc["stage"]["source"], doc["stage"]["bucket"], token)


async def _key_won(db: Database, key: str, token: str, now_ms: int) -> bool:
    try:
        await db.answers.update_one(
            {"_id": key, "fingerprint": {"$exists": False}},
            {"$set": {f"no.{token}": True, "until": now_ms + TOMBSTONE_MS}},
            upsert=True,
        )
    except DuplicateKeyError:
        answer = await db.latest(db.answers).find_one({"_id": key})
        return answer is not None and answer.get("token") == token
    return False


async def _move_won(db: Database, source: str, bucket: str, token: str) -> bool:
    undecided = {"_id": source, "b": bucket, "visible": MOVING, "to": {"$exists": False}}
    refused = await db.messages.update_one(undecided, {"$set": {f"no.{token}": True}})
    if refused.matched_count:
        return False
    latest = db.latest(db.messages)
    moved = await latest.find_one({"_id": source, "b": bucket}, {"to": 1})
    return moved is not None and moved.get("to", {}).get("token") == token
