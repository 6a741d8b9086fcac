"""Claims on messages that may be sealed.

NOTE: a message that cannot be decrypted (its key is not configured here, or its bytes were
changed) must not stop the ones behind it, and must not be lost. So a claim returns what it
could decrypt, reports the rest in the log, and leaves the rest under the lease. A claim in
which nothing can be decrypted fails; its lease is cut to `HOLD_MS`, so that the next claim
reaches the messages behind, and a server that has the key soon reaches these.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

from queues.errors import ClaimLost, StorageUnavailable
from queues.model import Claim, DeadLetterPolicy, Idempotency, Message
from queues.storage import ClaimStore, Storage
from storage_drivers.sealed.vault import Vault

_log = logging.getLogger(__name__)

#: How long messages that nobody here can decrypt are kept back from the next claim.
HOLD_MS = 30_000


def opened(vault: Vault, project: str, queue: str, claim: Claim) -> Claim:
    """Return the claim with the messages that can be decrypted, and log the others.

    Raises: StorageUnavailable when none can.
    """
    messages, failure = [], None
    for message in claim.messages:
        try:
            messages.append(vault.open(project, queue, message))
        except StorageUnavailable as ex:
            _log.error("storage: %s", ex)
            failure = ex
    if failure is not None and not messages:
        raise failure
    return claim._replace(messages=messages)


class SealedClaims(ClaimStore):
    """The contract's view on claims."""

    def __init__(self, inner: Storage, vault: Vault) -> None:
        self._inner = inner
        self._vault = vault

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
        """See the contract, and the note on top about what cannot be decrypted."""
        claim = await self._inner.claims.claim(
            project,
            queue,
            claim_id=claim_id,
            limit=limit,
            lease_ms=lease_ms,
            grace_ms=grace_ms,
            dead_letter=dead_letter,
            queue_version=queue_version,
            idempotency=idempotency,
            now_ms=now_ms,
        )
        if claim is None:
            return None
        try:
            return opened(self._vault, project, queue, claim)
        except StorageUnavailable:
            await self._shorten(project, queue, claim, now_ms)
            raise

    async def get(
        self, project: str, queue: str, claim_id: str, *, now_ms: int
    ) -> Claim | None:
        """See the contract, and the note on top about what cannot be decrypted."""
        claim = await self._inner.claims.get(project, queue, claim_id, now_ms=now_ms)
        return claim and opened(self._vault, project, queue, claim)

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
        """See the contract."""
        await self._inner.claims.renew(
            project,
            queue,
            claim_id,
            lease_ms=lease_ms,
            grace_ms=grace_ms,
            idempotency=idempotency,
            now_ms=now_ms,
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
        """See the contract, and the note on top about what cannot be decrypted."""
        held = await self._inner.claims.hold(
            project, queue, seqs, claim_id=claim_id, lease_ms=lease_ms, now_ms=now_ms
        )
        claim = Claim(claim_id, lease_ms, now_ms, held)
        return opened(self._vault, project, queue, claim).messages

    async def release(self, project: str, queue: str, claim_id: str, *, now_ms: int) -> None:
        """See the contract."""
        await self._inner.claims.release(project, queue, claim_id, now_ms=now_ms)

    async def _shorten(self, project: str, queue: str, claim: Claim, now_ms: int) -> None:
        """End the lease in `HOLD_MS`, unless it ends by then anyway."""
        if claim.messages[0].visible_ms <= now_ms + HOLD_MS:
            return
        # The messages may have been deleted meanwhile; then there is nothing to hold.
        with suppress(ClaimLost):
            await self._inner.claims.renew(
                project,
                queue,
                claim.id,
                lease_ms=HOLD_MS,
                grace_ms=0,
                idempotency=None,
                now_ms=now_ms,
            )
