"""The contract in the plainest Python there is: lists, and rules in the order of the text.

NOTE: written from `queues/storage.py` alone, for clarity and not for speed. It looks at
every message on every call and has no index and no second process; a driver that answers
differently is wrong, or the contract is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from queues.errors import MessageSealed, QueueChanged, QueueNotFound
from queues.model import (
    Health,
    Idempotency,
    Media,
    Message,
    MessagePage,
    NewMessage,
    Position,
    Queue,
    Record,
    Refusal,
    Stats,
)
from queues.storage import Capabilities, MessageStore, QueueStore, Storage, outbox_key
from tests.conformance.reference_claims import ReferenceClaims
from tests.conformance.reference_ledgers import ReferenceCredentials, ReferenceQuotas
from tests.conformance.reference_records import ReferenceRecords, ReferenceWakeups
from tests.conformance.world import BEGINNING, Place, StoredMessage, World


class ReferenceQueues(QueueStore):
    def __init__(self, world: World) -> None:
        self._world = world

    async def create(
        self, project: str, queue: str, *, metadata: bytes, version: int, now_ms: int
    ) -> tuple[Queue, bool]:
        if stored := self._world.queues.get((project, queue)):
            return stored.queue, False
        made = self._world.create(project, Queue(queue, metadata, version, now_ms))
        return made.queue, True

    async def get(self, project: str, queue: str) -> Queue | None:
        stored = self._world.queues.get((project, queue))
        return stored.queue if stored else None

    async def update(
        self,
        project: str,
        queue: str,
        *,
        metadata: bytes,
        expected_version: int,
        version: int,
    ) -> Queue:
        stored = self._world.queues.get((project, queue))
        if stored is None:
            raise QueueNotFound
        if stored.queue.version != expected_version:
            raise QueueChanged
        stored.queue = replace(stored.queue, metadata=metadata, version=version)
        return stored.queue

    async def delete(self, project: str, queue: str, *, now_ms: int) -> None:
        self._world.queues.pop((project, queue), None)

    async def purge(self, project: str, queue: str, *, now_ms: int) -> None:
        if stored := self._world.queues.get((project, queue)):
            stored.messages.clear()

    async def list(self, project: str, *, marker: str, limit: int) -> Sequence[Queue]:
        names = sorted(name for owner, name in self._world.queues if owner == project)
        page = [name for name in names if name > marker][:limit]
        return [self._world.queues[project, name].queue for name in page]

    async def count(self, project: str) -> int:
        return sum(owner == project for owner, _ in self._world.queues)

    async def stats(self, project: str, queue: str, *, now_ms: int) -> Stats:
        living = self._world.messages(project, queue, now_ms)
        return Stats(
            claimed=sum(stored.holder(now_ms) is not None for stored in living),
            total=len(living),
            oldest=living[0].seen(now_ms) if living else None,
            newest=living[-1].seen(now_ms) if living else None,
        )


class ReferenceMessages(MessageStore):
    def __init__(self, world: World) -> None:
        self._world = world

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
        known = self._world.recall(project, queue, idempotency, now_ms)
        if known is not None:
            assert isinstance(known.answer, list), "the key of a claim with its fingerprint"
            return known.answer
        stored = self._world.at_version(project, queue, queue_version)
        seqs = [
            self._world.append(stored, _posted(new, now_ms), new.client_id) for new in messages
        ]
        if outbox is not None:
            place = Place(project, outbox.kind, outbox.scope, outbox_key(seqs[0]))
            self._world.records[place] = outbox._replace(key=place.key, seal=False)
        self._world.remember(project, queue, idempotency, seqs, now_ms)
        self._world.tell_of_queue(project, queue)
        return seqs

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
        def wanted(stored: StoredMessage) -> bool:
            if stored.client_id == exclude_client_id:
                return False
            if stored.is_ready(now_ms):
                return True
            return include_claimed if stored.message.claim_id else include_delayed

        living = self._world.messages(project, queue, now_ms)
        later = [stored for stored in living if stored.message.seq > after_seq]
        page = [stored.seen(now_ms) for stored in later if wanted(stored)][:limit]
        return MessagePage(page, page[-1].seq if page else None)

    async def get(
        self, project: str, queue: str, seqs: Sequence[int], *, now_ms: int
    ) -> Sequence[Message]:
        living = self._world.messages(project, queue, now_ms)
        by_seq = {stored.message.seq: stored.seen(now_ms) for stored in living}
        return [by_seq[seq] for seq in seqs if seq in by_seq]

    async def delete(
        self,
        project: str,
        queue: str,
        seqs: Sequence[int],
        *,
        claim_ids: Collection[str] | None,
        now_ms: int,
    ) -> Mapping[int, Refusal]:
        refused = {}
        for stored in self._world.messages(project, queue, now_ms):
            if stored.message.seq not in seqs:
                continue
            refusal = _refusal(stored.holder(now_ms), claim_ids)
            if refusal is None:
                self._world.queues[project, queue].remove(stored)
            else:
                refused[stored.message.seq] = refusal
        return refused

    async def pop(
        self, project: str, queue: str, *, limit: int, now_ms: int
    ) -> Sequence[Message]:
        living = self._world.messages(project, queue, now_ms)
        ready = [stored for stored in living if stored.is_ready(now_ms)]
        if ready and ready[0].message.media is Media.SEALED:
            raise MessageSealed
        popped = list(
            takewhile(lambda stored: stored.message.media is not Media.SEALED, ready)
        )[:limit]
        for stored in popped:
            self._world.queues[project, queue].remove(stored)
        return [stored.seen(now_ms) for stored in popped]

    async def tail(self, project: str, queue: str) -> Position:
        stored = self._world.queues.get((project, queue))
        return stored.tail if stored else BEGINNING

    async def next_due(self, project: str, queue: str, *, now_ms: int) -> int | None:
        living = self._world.messages(project, queue, now_ms)
        waiting = [each.message for each in living if not each.is_ready(now_ms)]
        return min((m.visible_ms for m in waiting if m.visible_ms < m.expires_ms), default=None)


class ReferenceStorage(Storage):
    """The contract in memory. Several instances may share one `World`."""

    capabilities = Capabilities(atomic_batches=True, flat_stats=False)

    def __init__(self, world: World) -> None:
        self._world = world
        self.queues = ReferenceQueues(world)
        self.messages = ReferenceMessages(world)
        self.claims = ReferenceClaims(world)
        self.credentials = ReferenceCredentials(world)
        self.quotas = ReferenceQuotas(world)
        self.records = ReferenceRecords(world)
        self.wakeups = ReferenceWakeups(world)

    async def open(self) -> None:
        """Do nothing: the world is there."""

    async def close(self) -> None:
        self.wakeups.close()

    async def health(self) -> Health:
        return Health(durability="none: memory")

    async def sweep(self, *, limit: int, now_ms: int) -> int:
        return self._world.clear(limit, now_ms)


def _posted(new: NewMessage, now_ms: int) -> Message:
    """Return the message as it will stand; its place is not known yet."""
    return Message(
        seq=0,
        posted_ms=now_ms,
        ttl_s=new.ttl_s,
        expires_ms=now_ms + new.ttl_s * 1000,
        body=new.body,
        media=new.media,
        claim_id=None,
        claim_count=0,
        visible_ms=now_ms + new.delay_ms if new.delay_ms else 0,
        dead_letter=None,
        number=0,
    )


def _refusal(holder: str | None, claim_ids: Collection[str] | None) -> Refusal | None:
    if claim_ids is None or holder in claim_ids:
        return None
    if holder is not None:
        return Refusal.CLAIMED
    return Refusal.NOT_CLAIMED if claim_ids else None
