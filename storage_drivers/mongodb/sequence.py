"""Sequences: given out in order, and never filled in below what a reader has seen.

A writer takes sequences by one update of the queue's document, which raises `seq` and adds
a reservation to `open`; then it inserts; then it closes the reservation. A reader looks at
nothing above the lowest open reservation. A reservation whose writer is gone is fenced by
the reader that it holds up: a late insert then meets a taken `_id` and starts over.

The update cannot tell where the range begins (that takes a pipeline), so the reservation
says `low`, the last sequence that its process knew of: the range lies above it, and in the
usual case right above it. The answer of the update tells whether it does; if it does not,
because another process was faster, the writer corrects `low` before it inserts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from pymongo import ReturnDocument

from storage_drivers.mongodb import staging
from storage_drivers.mongodb.errors import ignoring_duplicates
from storage_drivers.mongodb.layout import (
    FENCE,
    TOMBSTONE_MS,
    Database,
    Document,
    message_id,
    new_token,
)
from storage_drivers.mongodb.queues import find_live

#: Corrections of `low` that lost against a fence or a purge before a writer gives up.
_ATTEMPTS = 20

#: Who waits for another process looks again after these pauses, then acts.
PAUSES_S = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256)

#: With more open reservations than this, a writer closes some that are dead.
_CROWD = 100
_FENCED_PER_POST = 4

#: A reservation that repeats a fenced one is not fenced before this age.
_REPEATED_MS = 10_000


class Reservation(NamedTuple):
    """Sequences `first` to `first + length - 1`, taken by the holder of `token`."""

    queue_id: str
    life: str
    bucket: str
    token: str
    first: int
    length: int

    @property
    def seqs(self) -> range:
        """Return the sequences taken."""
        return range(self.first, self.first + self.length)


class View(NamedTuple):
    """What a reader may see: sequences up to `bound`. `held`: more is on its way."""

    bucket: str
    bound: int
    held: bool


async def reserve(
    db: Database,
    queue_id: str,
    count: int,
    *,
    version: int | None,
    closing: Iterable[str] = (),
    repeated: bool = False,
    now_ms: int,
) -> Reservation | None:
    """Take `count` sequences and close the reservations `closing` on the way.

    `repeated` says that an earlier reservation for the same was fenced. Returns None when
    the queue is absent or not at `version` (None: any version).
    """
    for _ in range(_ATTEMPTS):
        taken = await _reserve(
            db,
            queue_id,
            count,
            version=version,
            closing=closing,
            repeated=repeated,
            now_ms=now_ms,
        )
        if taken is None:
            db.seqs.pop(queue_id, None)
            return None
        reservation, low = taken
        if reservation.first == low + 1 or await _correct(db, reservation, low):
            return reservation
    return None


async def _reserve(
    db: Database,
    queue_id: str,
    count: int,
    *,
    version: int | None,
    closing: Iterable[str] = (),
    repeated: bool = False,
    now_ms: int,
) -> tuple[Reservation, int] | None:
    low = await _last_known(db, queue_id)
    if low is None:
        return None
    token = new_token()
    changes: Document = {
        "$inc": {"seq": count},
        "$set": {f"open.{token}": {"low": low, "n": count, "at": now_ms, "repeated": repeated}},
    }
    if unset := {f"open.{closed}": "" for closed in closing}:
        changes["$unset"] = unset
    # NOTE: `seq` below `low` can only be a database restored from a backup.
    condition: Document = {"_id": queue_id, "live": True, "seq": {"$gte": low}}
    if version is not None:
        condition["version"] = version
    doc = await db.queues.find_one_and_update(
        condition,
        changes,
        projection={"seq": 1, "bucket": 1, "life": 1, "open": 1},
        return_document=ReturnDocument.AFTER,
    )
    if doc is None:
        return None
    db.remember(queue_id, bucket=doc["bucket"], seq=doc["seq"])
    if len(doc["open"]) > _CROWD:
        await _fence_some(db, queue_id, doc, now_ms=now_ms)
    first = doc["seq"] - count + 1
    return Reservation(queue_id, doc["life"], doc["bucket"], token, first, count), low


async def _last_known(db: Database, queue_id: str) -> int | None:
    if queue_id not in db.seqs:
        await find_live(db, queue_id)
    return db.seqs.get(queue_id)


async def _correct(db: Database, reservation: Reservation, low: int) -> bool:
    """Say where the range really begins, unless the reservation was taken away meanwhile."""
    path = f"open.{reservation.token}.low"
    corrected = await db.queues.update_one(
        {"_id": reservation.queue_id, path: low}, {"$set": {path: reservation.first - 1}}
    )
    return bool(corrected.matched_count)


async def close(db: Database, queue_id: str, tokens: Iterable[str]) -> None:
    """Close reservations: all that will ever be inserted under them has been."""
    unset = {f"open.{token}": "" for token in tokens}
    await db.queues.update_one({"_id": queue_id}, {"$unset": unset})


def view(doc: Document) -> View:
    """Return what a reader may see at the moment at which a queue's document was read."""
    return _view(doc, doc["open"], doc["seq"])


async def look_closer(db: Database, queue_id: str, session: Any, *, now_ms: int) -> View | None:
    """Return what a reader may see after the writers of this moment are through.

    Waits a few milliseconds for them, and fences those that seem to be gone. What a client
    has been told is stored is visible here.
    """
    doc = await find_live(db, queue_id, session)
    if doc is None:
        return None
    upto, tokens, bucket = doc["seq"], doc["open"].keys(), doc["bucket"]
    for pause_s in (*PAUSES_S, None):
        waiting = {token: doc["open"][token] for token in tokens & doc["open"].keys()}
        if not waiting or doc["bucket"] != bucket:
            break
        if pause_s is None:
            await _fence_the_dead(db, queue_id, doc, waiting, now_ms=now_ms)
        else:
            await asyncio.sleep(pause_s)
        doc = await find_live(db, queue_id, session)
        if doc is None:
            return None
    waiting = {token: doc["open"][token] for token in tokens & doc["open"].keys()}
    return _view(doc, waiting, upto)


async def tail(db: Database, queue_id: str) -> int:
    """Return the highest sequence at or below which nothing will ever be inserted any more.

    That of the last message, after the writers of this moment are through, or 0 for an
    absent queue. So it never goes back, and what was acknowledged or listed is not above it.

    NOTE: nobody tells the time here. A fence is remembered from when the last writer began.
    """
    doc = await find_live(db, queue_id)
    if doc is None or not doc["open"]:
        return doc["seq"] if doc else 0
    began_ms = max(entry["at"] for entry in doc["open"].values())
    async with db.causal() as session:
        seen = await look_closer(db, queue_id, session, now_ms=began_ms)
    return seen.bound if seen else 0


def _view(doc: Document, waiting: Document, upto: int) -> View:
    bound = min([upto, *(entry["low"] for entry in waiting.values())])
    return View(doc["bucket"], bound, held=bound < upto)


async def _fence_the_dead(
    db: Database, queue_id: str, doc: Document, waiting: Document, *, now_ms: int
) -> None:
    """Close reservations that were waited for in vain.

    One that repeats a fenced one gets more time, or a slow store and a busy reader would
    never let it through.
    """
    deadline_ms = now_ms - patience_ms(db)
    for token, entry in waiting.items():
        if not entry["repeated"] or entry["at"] < deadline_ms:
            await fence(db, queue_id, doc["bucket"], token, entry, now_ms=now_ms)


async def _fence_some(db: Database, queue_id: str, doc: Document, *, now_ms: int) -> None:
    """Close a few of the reservations whose writers are long gone.

    Where nobody lists, writers do this, or the queue's document would grow without bound.
    """
    deadline_ms = now_ms - patience_ms(db)
    dead = ((token, entry) for token, entry in doc["open"].items() if entry["at"] < deadline_ms)
    for token, entry in islice(dead, _FENCED_PER_POST):
        await fence(db, queue_id, doc["bucket"], token, entry, now_ms=now_ms)


def patience_ms(db: Database) -> int:
    """Return how long after its beginning no call is at work any more, with some reserve."""
    return max(_REPEATED_MS, 3 * db.timeout_ms)


async def fence(
    db: Database, queue_id: str, bucket: str, token: str, entry: Document, *, now_ms: int
) -> None:
    """Close a reservation whose writer may still be alive, so that it can do no harm.

    A message that is not there yet will meet a fence. What is staged is decided. A writer
    that has not corrected `low` yet finds its reservation gone when it tries to.
    """
    low, count = entry["low"], entry["n"]
    await _put_fences(db, bucket, range(low + 1, low + count + 1), now_ms)
    await staging.settle(db, bucket, token, _between(bucket, low, low + count), now_ms=now_ms)
    await db.queues.update_one(
        {"_id": queue_id, f"open.{token}.low": low}, {"$unset": {f"open.{token}": ""}}
    )


async def _put_fences(db: Database, bucket: str, seqs: range, now_ms: int) -> None:
    """Take what is free of the sequences."""
    docs = [
        {
            "_id": message_id(bucket, seq),
            "b": bucket,
            "seq": seq,
            "visible": FENCE,
            "expires": now_ms + TOMBSTONE_MS,
        }
        for seq in seqs
    ]
    with ignoring_duplicates():
        await db.messages.insert_many(docs, ordered=False)


def _between(bucket: str, low: int, high: int) -> Document:
    """Return the condition for sequences above `low` up to `high` of a bucket."""
    return {
        "_id": {"$gt": message_id(bucket, low), "$lte": message_id(bucket, high)},
        "b": bucket,
    }
