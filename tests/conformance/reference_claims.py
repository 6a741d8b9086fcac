"""Claims in the plainest Python there is; see `reference.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from queues.errors import ClaimLost
from queues.model import (
    Claim,
    DeadLetter,
    DeadLetterPolicy,
    DeadLetterReason,
    Idempotency,
    Message,
    Queue,
)
from queues.storage import DEAD_LETTERS_PER_CLAIM, ClaimStore
from tests.conformance.world import StoredMessage, World


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
        self._world.tell_of_queue(project, queue)

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
        held = []
        for stored in self._world.messages(project, queue, now_ms):
            if stored.message.seq in seqs and stored.is_ready(now_ms):
                stored.lease_ms = lease_ms
                stored.message = stored.message._replace(
                    claim_id=claim_id, visible_ms=now_ms + lease_ms
                )
                held.append(stored.message)
        return held

    async def release(self, project: str, queue: str, claim_id: str, *, now_ms: int) -> None:
        for stored in self._held(project, queue, claim_id, now_ms):
            stored.message = stored.message._replace(claim_id=None, visible_ms=0)
        self._world.tell_of_queue(project, queue)

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
        grave = self._world.queues.get((project, policy.queue))
        if grave is None:
            empty = Queue(policy.queue, b"{}", policy.version, now_ms)
            grave = self._world.create(project, empty)
        self._world.queues[project, queue].remove(stored)
        old = stored.message
        moved = old._replace(
            claim_id=None,
            claim_count=0,
            visible_ms=0,
            dead_letter=DeadLetter(
                queue, old.seq, DeadLetterReason.MAX_CLAIM_COUNT, old.claim_count, now_ms
            ),
        )
        if policy.ttl_s is not None:
            moved = moved._replace(ttl_s=policy.ttl_s, expires_ms=now_ms + policy.ttl_s * 1000)
        self._world.append(grave, moved, stored.client_id)
        self._world.tell_of_queue(project, policy.queue)
