"""Claims: leases on messages, and nothing besides."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from pymongo import UpdateMany

from queues.errors import ClaimLost, QueueChanged, StorageUnavailable
from queues.model import Claim, DeadLetterPolicy, Idempotency, Message
from queues.storage import ClaimStore
from storage_drivers.mongodb import codec, leasing, sequence
from storage_drivers.mongodb import idempotency as answers
from storage_drivers.mongodb.errors import bounded
from storage_drivers.mongodb.layout import HIDDEN, Database, Document, new_token, queue_id
from storage_drivers.mongodb.leasing import Lease, Source, Taken
from storage_drivers.mongodb.queues import find_live

#: Attempts of a claim under a key that others repeat at the same time.
_ATTEMPTS = 20


class MongoClaims(ClaimStore):
    """Leases on documents of the collection `messages`."""

    def __init__(self, db: Database) -> None:
        self.db = db

    @bounded
    async def claim(
        self,
        project: str,
        queue: str,
        *,
        claim_id: str,
        limit: int,
        lease_ms: int,
        grace_ms: int,
        dead_letter: DeadLetterPolicy | None,
        queue_version: int,
        idempotency: Idempotency | None,
        now_ms: int,
    ) -> Claim | None:
        """See ClaimStore."""
        doc = await find_live(self.db, queue_id(project, queue))
        if doc is None:
            raise QueueChanged("the queue does not exist")
        source = Source(project, queue, doc["bucket"])
        lease = Lease(claim_id, lease_ms, grace_ms, now_ms)
        request = _Request(source, limit, lease, dead_letter, doc["version"] == queue_version)
        if idempotency is None:
            return _claim(lease, await request.take(self.db))
        return await self._claim_once(doc, request, idempotency)

    async def _claim_once(
        self, doc: Document, request: _Request, key: Idempotency
    ) -> Claim | None:
        """Record the claim, lease, then mark the record done; every step can be repeated.

        A repeat waits a moment for a record that is not done. If the claim has no messages
        even then, it takes the key over; the first call, if it is still alive, then undoes
        what it has leased.
        """
        db, lease = self.db, request.lease
        pauses = iter(sequence.PAUSES_S)
        for _ in range(_ATTEMPTS):
            answer = await answers.find(db, doc["life"], key, lease.now_ms)
            if answer is None:
                claim, over = await self._first_claim(doc, request, key)
            elif not answer["done"] and (pause_s := next(pauses, None)):
                await asyncio.sleep(pause_s)
                continue
            else:
                claim = await self._find(doc["bucket"], answer["claim"], lease.now_ms)
                over = await _is_over(db, doc["life"], key, answer, claim)
            if over:
                return claim
        raise StorageUnavailable("too many claims under one key at the same time")

    async def _first_claim(
        self, doc: Document, request: _Request, key: Idempotency
    ) -> tuple[Claim | None, bool]:
        """Return the claim, and whether it is the answer for the key."""
        request.check_version()
        db, life, lease, token = self.db, doc["life"], request.lease, new_token()
        recorded = {"claim": lease.claim_id, "done": False}
        if not await answers.record(db, life, key, lease.now_ms, token, **recorded):
            return None, False
        taken = await request.take(db)
        if not taken:
            await answers.forget(db, life, key, token)
            return None, True
        if await answers.mark_done(db, life, key, token):
            return _claim(lease, taken), True
        await leasing.undo(db, taken)
        db.tell(doc["_id"])
        return None, False

    @bounded
    async def get(
        self, project: str, queue: str, claim_id: str, *, now_ms: int
    ) -> Claim | None:
        """See ClaimStore."""
        doc = await find_live(self.db, queue_id(project, queue))
        return await self._find(doc["bucket"], claim_id, now_ms) if doc else None

    async def _find(self, bucket: str, claim_id: str, now_ms: int) -> Claim | None:
        docs = await self.db.messages.find(_held(bucket, claim_id, now_ms)).to_list(None)
        if not docs:
            return None
        docs.sort(key=itemgetter("seq"))
        messages = [codec.message(doc, now_ms) for doc in docs]
        return Claim(claim_id, docs[0]["lease"], docs[0]["leased"], messages)

    @bounded
    async def renew(
        self,
        project: str,
        queue: str,
        claim_id: str,
        *,
        lease_ms: int,
        grace_ms: int,
        idempotency: Idempotency | None,
        now_ms: int,
    ) -> None:
        """See ClaimStore. The key is recorded last: a repeat after a crash renews again."""
        doc = await find_live(self.db, queue_id(project, queue))
        if doc is None:
            raise ClaimLost(claim_id)
        if idempotency and await answers.find(self.db, doc["life"], idempotency, now_ms):
            return
        lease = Lease(claim_id, lease_ms, grace_ms, now_ms)
        await self._renew(doc["bucket"], lease)
        self.db.tell(doc["_id"])
        if idempotency:
            await answers.record(
                self.db, doc["life"], idempotency, now_ms, new_token(), renewed=claim_id
            )

    async def _renew(self, bucket: str, lease: Lease) -> None:
        held = _held(bucket, lease.claim_id, lease.now_ms)
        short = {"expires": {"$gt": lease.now_ms, "$lt": lease.until_ms}}
        long = {"expires": {"$gt": lease.now_ms, "$gte": lease.until_ms}}
        # NOTE: in this order no message is met twice.
        renewed = await self.db.messages.bulk_write(
            [
                UpdateMany(held | long, {"$set": lease.changes()}),
                UpdateMany(held | short, {"$set": lease.changes() | lease.extension()}),
            ]
        )
        if not renewed.matched_count:
            raise ClaimLost(lease.claim_id)

    @bounded
    async def hold(
        self,
        project: str,
        queue: str,
        seqs: Sequence[int],
        *,
        claim_id: str,
        lease_ms: int,
        now_ms: int,
    ) -> Sequence[Message]:
        """See ClaimStore."""
        doc = await find_live(self.db, queue_id(project, queue))
        if doc is None:
            return ()
        lease = Lease(claim_id, lease_ms, 0, now_ms)
        taken = await leasing.hold(self.db, doc["bucket"], seqs, lease)
        return sorted(codec.message(after, now_ms) for _, after in taken)

    @bounded
    async def release(self, project: str, queue: str, claim_id: str, *, now_ms: int) -> None:
        """See ClaimStore."""
        doc = await find_live(self.db, queue_id(project, queue))
        if doc is not None:
            await self.db.messages.update_many(
                _held(doc["bucket"], claim_id, now_ms), leasing.READY
            )
            self.db.tell(doc["_id"])


class _Request(NamedTuple):
    """A claim that is asked for, and whether the queue is as its caller knows it."""

    source: Source
    limit: int
    lease: Lease
    policy: DeadLetterPolicy | None
    same_version: bool

    def check_version(self) -> None:
        if not self.same_version:
            raise QueueChanged("the queue is not at this version")

    async def take(self, db: Database) -> list[Taken]:
        self.check_version()
        return await leasing.take(db, self.source, self.limit, self.lease, self.policy)


async def _is_over(
    db: Database, life: str, key: Idempotency, answer: Document, claim: Claim | None
) -> bool:
    """Say whether the first call's claim is the answer; if it never came to be, forget it."""
    if answer["done"]:
        return True
    if claim is None:
        await answers.forget(db, life, key, answer["token"])
        return False
    return await answers.mark_done(db, life, key, answer["token"])


def _held(bucket: str, claim_id: str, now_ms: int) -> Document:
    """Return the condition for messages under the live claim."""
    return {
        "b": bucket,
        "claim": claim_id,
        "visible": {"$gt": now_ms, "$lt": HIDDEN},
        "expires": {"$gt": now_ms},
    }


def _claim(lease: Lease, taken: list[Taken]) -> Claim | None:
    if not taken:
        return None
    messages = sorted(codec.message(after, lease.now_ms) for _, after in taken)
    return Claim(lease.claim_id, lease.lease_ms, lease.now_ms, messages)
