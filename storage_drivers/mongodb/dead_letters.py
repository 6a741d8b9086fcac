"""Moves to dead-letter queues: never lost, never doubled, finished by the sweep if need be.

The message is marked MOVING, with all that the move needs to know; nobody sees it any
more. Then it is staged in the target queue, and the decision which attempt counts is
written into the marked message itself, as `to`. Then it is shown there, and at last the
marked one is removed. See staging.py for why this happens once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from pymongo import UpdateOne

from queues.errors import StorageUnavailable
from queues.model import DeadLetterPolicy, DeadLetterReason
from storage_drivers.mongodb import sequence, staging
from storage_drivers.mongodb.layout import (
    MOVING,
    NEVER,
    Database,
    Document,
    escape,
    message_id,
    new_token,
    queue_id,
    unescape,
)
from storage_drivers.mongodb.queues import create_queue

#: Attempts on a target queue that is being deleted or fenced at the same time.
_ATTEMPTS = 20


async def move(
    db: Database,
    project: str,
    queue: str,
    docs: Sequence[Document],
    policy: DeadLetterPolicy,
    now_ms: int,
) -> None:
    """Move ready messages of a queue, as far as nobody else takes them first."""
    order = {
        "token": new_token(),
        "project": escape(project),
        "from": escape(queue),
        "queue": escape(policy.queue),
        "version": policy.version,
        "ttl": policy.ttl_s,
        "moved": now_ms,
    }
    marked = [
        doc | {"visible": MOVING, "expires": NEVER, "move": order | {"expires": doc["expires"]}}
        for doc in docs
    ]
    await finish(db, await _mark(db, docs, marked), now_ms=now_ms)


async def _mark(
    db: Database, docs: Sequence[Document], marked: Sequence[Document]
) -> Sequence[Document]:
    """Take the messages out of sight and return those that this call has taken."""
    result = await db.messages.bulk_write(
        [
            UpdateOne(
                {key: before[key] for key in ("_id", "b", "visible", "count")},
                {"$set": {key: after[key] for key in ("visible", "expires", "move")}},
            )
            for before, after in zip(docs, marked, strict=True)
        ],
        ordered=False,
    )
    if result.matched_count == len(marked):
        return marked
    token = marked[0]["move"]["token"]
    return await _those_with(db, marked, {"move.token": token})


async def finish(db: Database, marked: Sequence[Document], *, now_ms: int) -> None:
    """Finish moves, whoever began them."""
    decided = [doc for doc in marked if "to" in doc]
    for doc in decided:
        await staging.show_all(db, doc["to"]["bucket"], doc["to"]["token"], [doc["to"]["seq"]])
        await _remove(db, [doc], doc["to"]["token"])
        _tell(db, doc)
    undecided = sorted((doc for doc in marked if "to" not in doc), key=itemgetter("_id"))
    for _, docs in groupby(sorted(undecided, key=_way), key=_way):
        await _finish(db, list(docs), now_ms=now_ms)


def _way(doc: Document) -> tuple[str, str, str]:
    return doc["b"], doc["move"]["project"], doc["move"]["queue"]


async def _finish(db: Database, marked: Sequence[Document], *, now_ms: int) -> None:
    """Stage messages of one queue in their target, decide, show, remove."""
    for attempt in range(_ATTEMPTS):
        taken = await _reserve(db, marked, repeated=attempt > 0, now_ms=now_ms)
        staged = [_staged(doc, taken, offset) for offset, doc in enumerate(marked)]
        stored = await staging.insert(db, taken.token, staged)
        if stored:
            won = await _decide(db, marked, staged, taken.token)
            await staging.show(db, taken.token, [doc for doc in staged if _source(doc) in won])
            await staging.discard(
                db, taken.token, [doc for doc in staged if _source(doc) not in won]
            )
            await _remove(db, marked, taken.token)
        await sequence.close(db, taken.queue_id, [taken.token])
        if stored:
            db.hint(taken.queue_id)
            return
    raise StorageUnavailable("too many fences in a dead-letter queue")


def _tell(db: Database, moved: Document) -> None:
    """Let others hear of a message that was shown by whoever found it decided."""
    order = moved["move"]
    db.tell(queue_id(unescape(order["project"]), unescape(order["queue"])))


def _source(staged: Document) -> str:
    return str(staged["stage"]["source"])


async def _reserve(
    db: Database, marked: Sequence[Document], *, repeated: bool, now_ms: int
) -> sequence.Reservation:
    """Take sequences in the target queue, which is created if it is absent."""
    order = marked[0]["move"]
    project, queue = unescape(order["project"]), unescape(order["queue"])
    for _ in range(_ATTEMPTS):
        await create_queue(
            db, project, queue, metadata=b"{}", version=order["version"], now_ms=now_ms
        )
        taken = await sequence.reserve(
            db,
            queue_id(project, queue),
            len(marked),
            version=None,
            repeated=repeated,
            now_ms=now_ms,
        )
        if taken is not None:
            return taken
    raise StorageUnavailable("the dead-letter queue is deleted again and again")


def _staged(doc: Document, taken: sequence.Reservation, offset: int) -> Document:
    """Return the message as it is posted anew."""
    seq, order = taken.first + offset, doc["move"]
    ttl_s = order["ttl"]
    letter = {
        "_id": message_id(taken.bucket, seq),
        "b": taken.bucket,
        "seq": seq,
        "visible": 0,
        "expires": order["expires"] if ttl_s is None else order["moved"] + ttl_s * 1000,
        "posted": doc["posted"],
        "ttl": doc["ttl"] if ttl_s is None else ttl_s,
        "body": doc["body"],
        "size": len(doc["body"]),
        "media": doc["media"],
        "client": doc["client"],
        "claim": "",
        "count": 0,
        "origin": {
            "queue": order["from"],
            "seq": doc["seq"],
            "reason": str(DeadLetterReason.MAX_CLAIM_COUNT),
            "count": doc["count"],
            "moved": order["moved"],
        },
    }
    return staging.stage(letter, taken.token, source=doc["_id"], bucket=doc["b"])


async def _decide(
    db: Database, marked: Sequence[Document], staged: Sequence[Document], token: str
) -> set[str]:
    """Write the decision into the marked messages; return those that it was made for."""
    result = await db.messages.bulk_write(
        [
            UpdateOne(
                {
                    "_id": doc["_id"],
                    "b": doc["b"],
                    "visible": MOVING,
                    "to": {"$exists": False},
                    f"no.{token}": {"$exists": False},
                },
                {"$set": {"to": {"bucket": new["b"], "seq": new["seq"], "token": token}}},
            )
            for doc, new in zip(marked, staged, strict=True)
        ],
        ordered=False,
    )
    if result.matched_count == len(marked):
        return {doc["_id"] for doc in marked}
    return {doc["_id"] for doc in await _those_with(db, marked, {"to.token": token})}


async def _remove(db: Database, marked: Sequence[Document], token: str) -> None:
    ids = [doc["_id"] for doc in marked]
    await db.messages.delete_many({"_id": {"$in": ids}, "b": marked[0]["b"], "to.token": token})


async def _those_with(
    db: Database, docs: Sequence[Document], condition: Document
) -> Sequence[Document]:
    if not docs:
        return []
    ids = [doc["_id"] for doc in docs]
    found = db.latest(db.messages).find(
        {"_id": {"$in": ids}, "b": docs[0]["b"], **condition}, {"_id": 1}
    )
    those = {doc["_id"] for doc in await found.to_list(None)}
    return [doc for doc in docs if doc["_id"] in those]
