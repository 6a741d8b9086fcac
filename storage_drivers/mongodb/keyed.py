"""Posts with an idempotency key: stored once, whoever repeats them, whenever a process dies."""

from __future__ import annotations

from collections.abc import Sequence

from queues.errors import QueueChanged, StorageUnavailable
from queues.model import Idempotency, NewMessage
from storage_drivers.mongodb import codec, idempotency, sequence, staging
from storage_drivers.mongodb.layout import Database, Document, answer_id
from storage_drivers.mongodb.posting import Poster
from storage_drivers.mongodb.queues import find_live

#: Attempts that may be fenced before a post gives up.
_ATTEMPTS = 20


async def post_once(
    db: Database,
    poster: Poster,
    queue_id: str,
    version: int,
    messages: Sequence[NewMessage],
    key: Idempotency,
    *,
    now_ms: int,
) -> Sequence[int]:
    """Store the messages, or find the sequences that the first call gave them.

    Raises: QueueChanged; IdempotencyKeyReused; StorageUnavailable; PyMongoError.
    """
    doc = await find_live(db, queue_id)
    if doc is None:
        raise QueueChanged("the queue does not exist")
    for attempt in range(_ATTEMPTS):
        answer = await idempotency.find(db, doc["life"], key, now_ms)
        if answer is not None:
            return await _repeated(db, answer)
        taken = await sequence.reserve(
            db,
            queue_id,
            len(messages),
            version=version,
            repeated=attempt > 0,
            now_ms=now_ms,
        )
        if taken is None or taken.life != doc["life"]:
            raise QueueChanged("the queue is not at this version")
        stored = await _attempt(db, taken, messages, key, now_ms=now_ms)
        poster.close_later(queue_id, taken.token)
        if stored:
            return taken.seqs
    raise StorageUnavailable("too many posts under one key at the same time")


async def _attempt(
    db: Database,
    taken: sequence.Reservation,
    messages: Sequence[NewMessage],
    key: Idempotency,
    *,
    now_ms: int,
) -> bool:
    record_id = answer_id(taken.life, key.key)
    docs = [
        staging.stage(
            codec.message_document(taken.bucket, seq, new, now_ms),
            taken.token,
            key=record_id,
        )
        for seq, new in zip(taken.seqs, messages, strict=True)
    ]
    if not await staging.insert(db, taken.token, docs):
        return False
    decided = await idempotency.record(
        db,
        taken.life,
        key,
        now_ms,
        taken.token,
        bucket=taken.bucket,
        first=taken.first,
        count=taken.length,
    )
    if not decided:
        await staging.discard(db, taken.token, docs)
        return False
    await staging.show(db, taken.token, docs)
    return True


async def _repeated(db: Database, answer: Document) -> Sequence[int]:
    """Return the answer, after showing what the first call may not have shown any more."""
    seqs = range(answer["first"], answer["first"] + answer["count"])
    await staging.show_all(db, answer["bucket"], answer["token"], seqs)
    return seqs
