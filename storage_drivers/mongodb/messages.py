"""Messages outside of claims."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pymongo import ASCENDING, DeleteOne

from queues.errors import StorageUnavailable
from queues.model import (
    Idempotency,
    Message,
    MessagePage,
    NewMessage,
    Position,
    Record,
    Refusal,
)
from queues.storage import MessageStore
from storage_drivers.mongodb import codec, keyed, leasing, listing, sequence
from storage_drivers.mongodb.errors import bounded
from storage_drivers.mongodb.layout import (
    HIDDEN,
    Database,
    Document,
    message_id,
    message_ids,
    queue_id,
)
from storage_drivers.mongodb.outbox import Outbox
from storage_drivers.mongodb.posting import Poster
from storage_drivers.mongodb.queues import find_live

#: Rounds of a delete while others change the state of the same messages.
_ATTEMPTS = 20


class MongoMessages(MessageStore):
    """Messages in the collection `messages`."""

    def __init__(self, db: Database, poster: Poster) -> None:
        self.db = db
        self._poster = poster

    @bounded
    async def post(
        self,
        project: str,
        queue: str,
        messages: Sequence[NewMessage],
        *,
        queue_version: int,
        idempotency: Idempotency | None,
        now_ms: int,
        outbox: Record | None = None,
    ) -> Sequence[int]:
        """See MessageStore."""
        poster, key = self._poster, queue_id(project, queue)
        left = Outbox(project, outbox) if outbox else None
        if idempotency is None:
            seqs = await poster.post(key, queue_version, messages, left, now_ms=now_ms)
        else:
            once = keyed.Post(key, queue_version, messages, idempotency, left, now_ms)
            seqs = await once.store(self.db, poster)
        self.db.hint(key)
        return seqs

    @bounded
    async def list(
        self,
        project: str,
        queue: str,
        *,
        after_seq: int,
        limit: int,
        include_claimed: bool,
        include_delayed: bool,
        exclude_client_id: str | None,
        now_ms: int,
    ) -> MessagePage:
        """See MessageStore."""
        wanted = listing.Wanted(
            after_seq, limit, include_claimed, include_delayed, exclude_client_id, now_ms
        )
        return await listing.page(self.db, queue_id(project, queue), wanted)

    @bounded
    async def get(
        self, project: str, queue: str, seqs: Sequence[int], *, now_ms: int
    ) -> Sequence[Message]:
        """See MessageStore."""
        doc = await find_live(self.db, queue_id(project, queue))
        if doc is None:
            return []
        found = await self._find(doc["bucket"], seqs, now_ms)
        by_seq = {message["seq"]: codec.message(message, now_ms) for message in found}
        return [by_seq[seq] for seq in seqs if seq in by_seq]

    async def _find(
        self, bucket: str, seqs: Collection[int], now_ms: int, shown: Document | None = None
    ) -> Sequence[Document]:
        condition = {
            "_id": {"$in": message_ids(bucket, seqs)},
            "b": bucket,
            "visible": {"$lt": HIDDEN},
            "expires": {"$gt": now_ms},
        }
        docs: Sequence[Document] = await self.db.messages.find(condition, shown).to_list(None)
        return docs

    @bounded
    async def delete(
        self,
        project: str,
        queue: str,
        seqs: Sequence[int],
        *,
        claim_ids: Collection[str] | None,
        now_ms: int,
    ) -> Mapping[int, Refusal]:
        """See MessageStore.

        One command when all goes well: a bucket remembered from earlier calls does, as the
        messages in it are gone in any case when it is not the queue's any more.
        """
        key = queue_id(project, queue)
        wanted = set(seqs)
        bucket = self.db.buckets.get(key)
        if bucket is None and (found := await find_live(self.db, key)):
            bucket = found["bucket"]
        if not wanted or (
            bucket and await self._deleted_all(bucket, wanted, claim_ids, now_ms)
        ):
            return {}
        for _ in range(_ATTEMPTS):
            doc = await find_live(self.db, key)
            if doc is None:
                return {}
            bucket = doc["bucket"]
            left = await self._find(
                bucket, wanted, now_ms, {"seq": 1, "visible": 1, "claim": 1}
            )
            refused = {doc["seq"]: refusal(doc, claim_ids, now_ms) for doc in left}
            wanted = {seq for seq, why in refused.items() if why is None}
            if not wanted:
                return {seq: why for seq, why in refused.items() if why is not None}
            await self._deleted_all(bucket, wanted, claim_ids, now_ms)
            wanted = set(seqs)
        raise StorageUnavailable("too many changes of the same messages at the same time")

    async def _deleted_all(
        self, bucket: str, seqs: set[int], claim_ids: Collection[str] | None, now_ms: int
    ) -> bool:
        """Delete those messages whose state allows it, and say whether that were all."""
        allowed = deletable(claim_ids, now_ms)
        deleted = await self.db.messages.bulk_write(
            [
                DeleteOne({"_id": message_id(bucket, seq), "b": bucket, **allowed})
                for seq in sorted(seqs)
            ],
            ordered=False,
        )
        return bool(deleted.deleted_count == len(seqs))

    @bounded
    async def pop(
        self, project: str, queue: str, *, limit: int, now_ms: int
    ) -> Sequence[Message]:
        """See MessageStore."""
        doc = await find_live(self.db, queue_id(project, queue))
        return await leasing.pop(self.db, doc["bucket"], limit, now_ms) if doc else []

    @bounded
    async def tail(self, project: str, queue: str) -> Position:
        """See MessageStore."""
        seq = await sequence.tail(self.db, queue_id(project, queue))
        return Position(seq, seq)

    @bounded
    async def next_due(self, project: str, queue: str, *, now_ms: int) -> int | None:
        """See MessageStore. Earlier than the truth if that message expires before."""
        doc = await find_live(self.db, queue_id(project, queue))
        if doc is None:
            return None
        waiting = {"b": doc["bucket"], "visible": {"$gt": 0, "$lt": HIDDEN}}
        first = await self.db.messages.find_one(
            waiting, {"_id": 0, "visible": 1}, sort=[("visible", ASCENDING)]
        )
        return first["visible"] if first else None


def deletable(claim_ids: Collection[str] | None, now_ms: int) -> Document:
    """Return the condition under which a message may be deleted."""
    if claim_ids is None:
        return {"visible": {"$lt": HIDDEN}}
    if claim_ids:
        return {"visible": {"$gt": now_ms, "$lt": HIDDEN}, "claim": {"$in": list(claim_ids)}}
    return {
        "visible": {"$lt": HIDDEN},
        "$nor": [{"visible": {"$gt": now_ms}, "claim": {"$gt": ""}}],
    }


def refusal(doc: Document, claim_ids: Collection[str] | None, now_ms: int) -> Refusal | None:
    """Return why the message may not be deleted, or None if it may."""
    if claim_ids is None:
        return None
    holder = doc["claim"] if doc["visible"] > now_ms else ""
    if not holder:
        return Refusal.NOT_CLAIMED if claim_ids else None
    return None if holder in claim_ids else Refusal.CLAIMED
