"""Posts with an idempotency key: stored once, whoever repeats them, whenever a process dies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from queues.errors import QueueChanged, StorageUnavailable
from queues.model import Idempotency, NewMessage
from storage_drivers.mongodb import codec, idempotency, outbox, sequence, staging
from storage_drivers.mongodb.layout import Database, Document, answer_id
from storage_drivers.mongodb.outbox import Outbox
from storage_drivers.mongodb.posting import Poster
from storage_drivers.mongodb.queues import find_live

#: Attempts that may be fenced before a post gives up.
_ATTEMPTS = 20


class Post(NamedTuple):
    """A post that is to happen once."""

    queue_id: str
    version: int
    messages: Sequence[NewMessage]
    key: Idempotency
    outbox: Outbox | None
    now_ms: int

    async def store(self, db: Database, poster: Poster) -> Sequence[int]:
        """Store the messages, or find the sequences that the first call gave them.

        Raises: QueueChanged; IdempotencyKeyReused; StorageUnavailable; PyMongoError.
        """
        doc = await find_live(db, self.queue_id)
        if doc is None:
            raise QueueChanged("the queue does not exist")
        for attempt in range(_ATTEMPTS):
            answer = await idempotency.find(db, doc["life"], self.key, self.now_ms)
            if answer is not None:
                return await self._repeat(db, poster, answer)
            taken = await self._reserve(db, repeated=attempt > 0)
            if taken is None or taken.life != doc["life"]:
                raise QueueChanged("the queue is not at this version")
            stored = await self._attempt(db, taken)
            poster.close_later(self.queue_id, taken.token)
            if stored:
                return taken.seqs
        raise StorageUnavailable("too many posts under one key at the same time")

    async def _reserve(self, db: Database, *, repeated: bool) -> sequence.Reservation | None:
        return await sequence.reserve(
            db,
            self.queue_id,
            len(self.messages),
            version=self.version,
            repeated=repeated,
            now_ms=self.now_ms,
        )

    async def _attempt(self, db: Database, taken: sequence.Reservation) -> bool:
        """Stage the messages, then their record, decide, and show them."""
        docs = self._staged(taken)
        if not await staging.insert(db, taken.token, docs):
            return False
        left = self._outboxes(taken.first)
        await outbox.hold(db, left, now_ms=self.now_ms)
        if not await self._decide(db, taken):
            await staging.discard(db, taken.token, docs)
            await outbox.withdraw(db, left)
            return False
        await staging.show(db, taken.token, docs)
        await outbox.release(db, left)
        return True

    def _staged(self, taken: sequence.Reservation) -> list[Document]:
        key = answer_id(taken.life, self.key.key)
        docs = (
            codec.message_document(taken.bucket, seq, new, self.now_ms)
            for seq, new in zip(taken.seqs, self.messages, strict=True)
        )
        return [staging.stage(doc, taken.token, key=key) for doc in docs]

    async def _decide(self, db: Database, taken: sequence.Reservation) -> bool:
        answer = {"bucket": taken.bucket, "first": taken.first, "count": taken.length}
        return await idempotency.record(
            db, taken.life, self.key, self.now_ms, taken.token, **answer
        )

    async def _repeat(self, db: Database, poster: Poster, answer: Document) -> Sequence[int]:
        """Return the answer, after showing what the first call may not have shown any more.

        NOTE: whoever took the record of the first call may have found nothing, and removed it.
        """
        seqs = range(answer["first"], answer["first"] + answer["count"])
        token = answer["token"]
        if docs := await staging.left(db, answer["bucket"], token, seqs):
            left = self._outboxes(answer["first"])
            await outbox.hold(db, left, now_ms=self.now_ms)
            await staging.show(db, token, docs)
            await outbox.release(db, left)
            poster.close_later(self.queue_id, token)
        return seqs

    def _outboxes(self, first: int) -> list[Outbox]:
        return [self.outbox.of(first)] if self.outbox else []
