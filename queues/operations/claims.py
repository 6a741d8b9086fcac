"""What may happen to claims."""

from __future__ import annotations

from typing import NamedTuple

from queues import ids
from queues.clock import Clock
from queues.errors import ClaimLost, ClaimNotFound
from queues.limits import Limits, check_claim_grace, check_claim_ttl, check_count
from queues.metadata import QueuePolicy
from queues.model import Claim, DeadLetterPolicy
from queues.operations.accounts import NOTHING
from queues.operations.idempotency import remembered
from queues.operations.policies import Policies
from queues.operations.quotas import Quotas
from queues.storage import Storage


class ClaimView(NamedTuple):
    """A claim as it stood at `now_ms`, with what is needed to show its messages.

    A new one `is_full` when it holds as many messages as were wanted: there may be more.
    """

    claim: Claim
    tag: str
    now_ms: int
    is_full: bool = False


class Wanted(NamedTuple):
    """A claim as a client wants it; None takes the default."""

    ttl_s: int | None
    grace_s: int | None
    limit: int
    idempotency_key: str | None


class ClaimOperations:
    """Create, get, renew and release claims."""

    def __init__(
        self, storage: Storage, limits: Limits, clock: Clock, policies: Policies, quotas: Quotas
    ) -> None:
        """Work on `storage` under `limits`, with the time of `clock`."""
        self._storage = storage
        self._limits = limits
        self._clock = clock
        self._policies = policies
        self._quotas = quotas

    async def create(self, project: str, queue: str, wanted: Wanted) -> ClaimView | None:
        """Claim the oldest ready messages; None when there is nothing to claim.

        A message that was claimed as often as its queue allows becomes a dead letter. A
        repeat with the same key claims nothing more and returns what the claim still holds.
        Near the quota of the project, it is as many as are left of it.

        Raises: InvalidRequest, QuotaExceeded, IdempotencyKeyReused.
        """
        limit = wanted.limit
        check_count("limit", limit, self._limits.max_messages_per_claim_or_pop)
        ttl_s, grace_s = self._lease(wanted.ttl_s, wanted.grace_s)
        request = ("claim", ttl_s, grace_s, limit)
        key = remembered(wanted.idempotency_key, request, self._limits)
        now_ms = self._clock.now_ms()
        claim_id = ids.new_claim_id(now_ms)

        async def step(policy: QueuePolicy) -> Claim | None:
            if policy.version is None:
                return None
            return await self._storage.claims.claim(
                project,
                queue,
                claim_id=claim_id,
                limit=limit,
                lease_ms=ttl_s * 1000,
                grace_ms=grace_s * 1000,
                dead_letter=_dead_letter(policy),
                queue_version=policy.version,
                idempotency=key,
                now_ms=now_ms,
            )

        if self._quotas.is_free(project):
            claim = await self._policies.apply(project, queue, step)
        else:
            with await self._quotas.admit_claim(project, limit) as admitted:
                limit = admitted.reserved.claimed
                claim = await self._policies.apply(project, queue, step)
                admitted.use(NOTHING._replace(claimed=len(claim.messages) if claim else 0))
        if claim is None:
            return None
        is_full = len(claim.messages) == limit
        return ClaimView(claim, ids.queue_tag(project, queue), now_ms, is_full)

    async def get(self, project: str, queue: str, claim_id: str) -> ClaimView:
        """Return the live claim.

        Raises: ClaimNotFound when it is unknown, has ended or holds nothing any more.
        """
        now_ms = self._clock.now_ms()
        claim = None
        if ids.is_claim_id(claim_id):
            claim = await self._storage.claims.get(project, queue, claim_id, now_ms=now_ms)
        if claim is None:
            raise ClaimNotFound(f"Claim {claim_id} does not exist or has ended.")
        return ClaimView(claim, ids.queue_tag(project, queue), now_ms)

    async def renew(
        self,
        project: str,
        queue: str,
        claim_id: str,
        *,
        ttl_s: int | None,
        grace_s: int | None,
        idempotency_key: str | None,
    ) -> None:
        """Let the claim last `ttl_s` from now.

        Raises: ClaimLost when it has ended; InvalidRequest; IdempotencyKeyReused.
        """
        ttl_s, grace_s = self._lease(ttl_s, grace_s)
        if not ids.is_claim_id(claim_id):
            raise ClaimLost(f"{claim_id!r} is not the id of a claim.")
        await self._storage.claims.renew(
            project,
            queue,
            claim_id,
            lease_ms=ttl_s * 1000,
            grace_ms=grace_s * 1000,
            idempotency=remembered(
                idempotency_key, ("renew", claim_id, ttl_s, grace_s), self._limits
            ),
            now_ms=self._clock.now_ms(),
        )

    async def release(self, project: str, queue: str, claim_id: str) -> None:
        """Make the messages of the claim ready at once. An ended claim is no error."""
        if ids.is_claim_id(claim_id):
            await self._storage.claims.release(
                project, queue, claim_id, now_ms=self._clock.now_ms()
            )

    def _lease(self, ttl_s: int | None, grace_s: int | None) -> tuple[int, int]:
        """Return lease and grace, with defaults for None (the official client sends null)."""
        if ttl_s is None:
            ttl_s = self._limits.default_claim_ttl_s
        if grace_s is None:
            grace_s = self._limits.default_claim_grace_s
        return check_claim_ttl(ttl_s, self._limits), check_claim_grace(grace_s, self._limits)


def _dead_letter(policy: QueuePolicy) -> DeadLetterPolicy | None:
    """Return where over-claimed messages go: needs both a queue and a count."""
    if policy.dead_letter_queue is None or policy.max_claim_count is None:
        return None
    return DeadLetterPolicy(
        policy.dead_letter_queue,
        policy.max_claim_count,
        policy.dead_letter_ttl_s,
        ids.new_version(),
    )
