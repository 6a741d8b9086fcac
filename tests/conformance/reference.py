"""The contract in the plainest Python there is: lists, and rules in the order of the text.

NOTE: written from `queues/storage.py` alone, for clarity and not for speed. It looks at
every message on every call and has no index and no second process; a driver that answers
differently is wrong, or the contract is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from queues.errors import ClaimLost, MessageSealed, QueueChanged, QueueNotFound
from queues.model import (
    Claim,
    DeadLetter,
    DeadLetterPolicy,
    DeadLetterReason,
    Health,
    Idempotency,
    Media,
    Message,
    MessagePage,
    NewMessage,
    Queue,
    Refusal,
    Stats,
)
from queues.storage import (
    DEAD_LETTERS_PER_CLAIM,
    Capabilities,
    ClaimStore,
    MessageStore,
    QueueStore,
    Storage,
)
from tests.conformance.reference_ledgers import ReferenceCredentials, ReferenceQuotas
from tests.conformance.world import StoredMessage, StoredQueue, World


class ReferenceQueues(QueueStore):
    def __init__(self, world: World) -> None:
        self._world = world

    async def create(
        self, project: str, queue: str, *, metadata: bytes, version: int, now_ms: int
    ) -> tuple[Queue, bool]:
        if stored := self._world.queues.get((project, queue)):
            return stored.queue, False
        made = StoredQueue(Queue(queue, metadata, version, now_ms))
        self._world.queues[project, queue] = made
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
    ) -> Sequence[int]:
        known = self._world.recall(project, queue, idempotency, now_ms)
        if known is not None:
            assert isinstance(known.answer, list), "the key of a claim with its fingerprint"
            return known.answer
        stored = self._world.at_version(project, queue, queue_version)
        seqs = []
        for new in messages:
            seq = self._world.next_seq()
            stored.messages.append(StoredMessage(_posted(new, seq, now_ms), new.client_id))
            seqs.append(seq)
        self._world.remember(project, queue, idempotency, seqs, now_ms)
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


class ReferenceClaims(ClaimStore):
    def __init__(self, world: World) -> None:
        self._world = world

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
        known = self._world.recall(project, queue, idempotency, now_ms)
        if known is not None:
            assert isinstance(known.answer, str), "the key of a post with its fingerprint"
            return await self.get(project, queue, known.answer, now_ms=now_ms)
        self._world.at_version(project, queue, queue_version)
        leased = 0
        for stored in self._claimable(project, queue, dead_letter, now_ms):
            stored.lease(claim_id, lease_ms, grace_ms, now_ms)
            count = stored.message.claim_count + 1
            stored.message = stored.message._replace(claim_count=count)
            leased += 1
            if leased == limit:
                break
        if not leased:
            return None
        self._world.remember(project, queue, idempotency, claim_id, now_ms)
        return await self.get(project, queue, claim_id, now_ms=now_ms)

    async def get(
        self, project: str, queue: str, claim_id: str, *, now_ms: int
    ) -> Claim | None:
        held = self._held(project, queue, claim_id, now_ms)
        if not held:
            return None
        lease_ms = held[0].lease_ms
        leased_ms = held[0].message.visible_ms - lease_ms
        return Claim(claim_id, lease_ms, leased_ms, [stored.message for stored in held])

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
        if self._world.recall(project, queue, idempotency, now_ms) is not None:
            return
        held = self._held(project, queue, claim_id, now_ms)
        if not held:
            raise ClaimLost
        for stored in held:
            stored.lease(claim_id, lease_ms, grace_ms, now_ms)
        self._world.remember(project, queue, idempotency, claim_id, now_ms)

    async def release(self, project: str, queue: str, claim_id: str, *, now_ms: int) -> None:
        for stored in self._held(project, queue, claim_id, now_ms):
            stored.message = stored.message._replace(claim_id=None, visible_ms=0)

    def _held(
        self, project: str, queue: str, claim_id: str, now_ms: int
    ) -> list[StoredMessage]:
        living = self._world.messages(project, queue, now_ms)
        return [stored for stored in living if stored.holder(now_ms) == claim_id]

    def _claimable(
        self, project: str, queue: str, policy: DeadLetterPolicy | None, now_ms: int
    ) -> Iterator[StoredMessage]:
        """Yield what may be leased, and move what is in the way to the dead-letter queue."""
        moves = 0
        for stored in self._world.messages(project, queue, now_ms):
            if not stored.is_ready(now_ms):
                continue
            if policy is None or stored.message.claim_count < policy.max_claims:
                yield stored
                continue
            self._bury(project, queue, stored, policy, now_ms)
            moves += 1
            if moves == DEAD_LETTERS_PER_CLAIM:
                return

    def _bury(
        self,
        project: str,
        queue: str,
        stored: StoredMessage,
        policy: DeadLetterPolicy,
        now_ms: int,
    ) -> None:
        empty = Queue(policy.queue, b"{}", policy.version, now_ms)
        grave = self._world.queues.setdefault((project, policy.queue), StoredQueue(empty))
        self._world.queues[project, queue].remove(stored)
        old = stored.message
        moved = old._replace(
            seq=self._world.next_seq(),
            claim_id=None,
            claim_count=0,
            visible_ms=0,
            dead_letter=DeadLetter(
                queue, old.seq, DeadLetterReason.MAX_CLAIM_COUNT, old.claim_count, now_ms
            ),
        )
        if policy.ttl_s is not None:
            moved = moved._replace(ttl_s=policy.ttl_s, expires_ms=now_ms + policy.ttl_s * 1000)
        grave.messages.append(StoredMessage(moved, stored.client_id))


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

    async def open(self) -> None:
        """Do nothing: the world is there."""

    async def close(self) -> None:
        """Do nothing: nothing is held."""

    async def health(self) -> Health:
        return Health(durability="none: memory")

    async def sweep(self, *, limit: int, now_ms: int) -> int:
        return self._world.clear(limit, now_ms)


def _posted(new: NewMessage, seq: int, now_ms: int) -> Message:
    return Message(
        seq=seq,
        posted_ms=now_ms,
        ttl_s=new.ttl_s,
        expires_ms=now_ms + new.ttl_s * 1000,
        body=new.body,
        media=new.media,
        claim_id=None,
        claim_count=0,
        visible_ms=now_ms + new.delay_ms if new.delay_ms else 0,
        dead_letter=None,
        number=seq,
    )


def _refusal(holder: str | None, claim_ids: Collection[str] | None) -> Refusal | None:
    if claim_ids is None or holder in claim_ids:
        return None
    if holder is not None:
        return Refusal.CLAIMED
    return Refusal.NOT_CLAIMED if claim_ids else None
