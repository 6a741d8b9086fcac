"""Claims: leases on messages."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from queues.errors import StorageUnavailable
from queues.model import Claim, DeadLetterPolicy, Idempotency, Message
from queues.storage import DEAD_LETTERS_PER_CLAIM, ClaimStore
from storage_drivers.redis.codec import lease_ms_of, unpack_all
from storage_drivers.redis.dead_letters import DeadLetters
from storage_drivers.redis.executor import Executor, idempotent
from storage_drivers.redis.layout import MESSAGES, decode, encode, sequence_key
from storage_drivers.redis.scripts import Script

logger = logging.getLogger(__name__)

_CLAIM = Script(
    "claim_messages",
    keys=f"meta {MESSAGES} moving claim idempotency",
    args="now_ms queue_version claim_id limit lease_ms grace_ms fingerprint window_ms "
    "policy...",
)
_GET = Script("get_claim", keys="messages claim", args="now_ms claim_id")
_RENEW = Script(
    "renew_claim",
    keys=f"meta {MESSAGES} claim idempotency",
    args="now_ms claim_id lease_ms grace_ms fingerprint window_ms",
)
_HOLD = Script(
    "hold_messages", keys=f"{MESSAGES} claim", args="now_ms claim_id lease_ms members..."
)
_RELEASE = Script("release_claim", keys=f"{MESSAGES} claim", args="now_ms claim_id")


class RedisClaimStore(ClaimStore):
    """Claims. The lease is on the message's record; the claim's key only finds it."""

    def __init__(self, executor: Executor, dead_letters: DeadLetters) -> None:
        self._executor = executor
        self._layout = executor.layout
        self._dead_letters = dead_letters

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
        place = self._layout.queue(project, queue)
        keys, repeated = idempotent(place, idempotency)
        answer = await self._executor.run(
            _CLAIM,
            place,
            {"claim": place.claim(claim_id), **keys},
            _policy(queue, dead_letter),
            now_ms=now_ms,
            queue_version=queue_version,
            claim_id=claim_id,
            limit=limit,
            lease_ms=lease_ms,
            grace_ms=grace_ms,
            **repeated,
        )
        if isinstance(answer, bytes):
            return await self.get(project, queue, decode(answer), now_ms=now_ms)
        moving, *leased = answer
        if moving:
            await self._deliver(project, queue, is_needed=not leased, now_ms=now_ms)
        return _claim(claim_id, leased, now_ms)

    async def _deliver(self, project: str, queue: str, *, is_needed: bool, now_ms: int) -> None:
        """Finish moves to the dead-letter queue, which may be on a server that is down.

        Raises: StorageUnavailable if `is_needed`. If not, the moves wait for the sweep: the
        claim that began them holds messages, which must not be lost with its answer.
        """
        try:
            await self._dead_letters.deliver(project, queue, now_ms=now_ms)
        except StorageUnavailable as ex:
            if is_needed:
                raise
            logger.warning("dead letters wait for the sweep: %s", ex)

    async def get(
        self, project: str, queue: str, claim_id: str, *, now_ms: int
    ) -> Claim | None:
        place = self._layout.queue(project, queue)
        keys = {"claim": place.claim(claim_id)}
        leased = await self._executor.run(_GET, place, keys, now_ms=now_ms, claim_id=claim_id)
        return _claim(claim_id, leased, now_ms)

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
        place = self._layout.queue(project, queue)
        keys, repeated = idempotent(place, idempotency)
        await self._executor.run(
            _RENEW,
            place,
            {"claim": place.claim(claim_id), **keys},
            now_ms=now_ms,
            claim_id=claim_id,
            lease_ms=lease_ms,
            grace_ms=grace_ms,
            **repeated,
        )

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
        place = self._layout.queue(project, queue)
        held = await self._executor.run(
            _HOLD,
            place,
            {"claim": place.claim(claim_id)},
            [sequence_key(seq) for seq in seqs],
            now_ms=now_ms,
            claim_id=claim_id,
            lease_ms=lease_ms,
        )
        return sorted(unpack_all(held, now_ms))

    async def release(self, project: str, queue: str, claim_id: str, *, now_ms: int) -> None:
        place = self._layout.queue(project, queue)
        keys = {"claim": place.claim(claim_id)}
        await self._executor.run(_RELEASE, place, keys, now_ms=now_ms, claim_id=claim_id)


def _policy(queue: str, policy: DeadLetterPolicy | None) -> Sequence[bytes]:
    """Return what the script has to know of dead-lettering; nothing without."""
    if policy is None:
        return ()
    return (
        b"%d" % policy.max_claims,
        b"%d" % DEAD_LETTERS_PER_CLAIM,
        encode(queue),
        encode(policy.queue),
        b"%d" % policy.version,
        b"%d" % (-1 if policy.ttl_s is None else policy.ttl_s),
    )


def _claim(claim_id: str, leased: Sequence[bytes], now_ms: int) -> Claim | None:
    """Return the claim on these messages; None without any."""
    if not leased:
        return None
    messages = sorted(unpack_all(leased, now_ms))
    lease_ms = lease_ms_of(leased[1])
    return Claim(claim_id, lease_ms, messages[0].visible_ms - lease_ms, messages)
