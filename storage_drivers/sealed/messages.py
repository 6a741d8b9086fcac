"""Messages outside of claims: sealed on their way in, opened on every way out."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection, Mapping, MutableSequence, Sequence

from queues.errors import MessageSealed, QueueChanged, StorageUnavailable
from queues.model import (
    Claim,
    Idempotency,
    Message,
    MessagePage,
    NewMessage,
    Position,
    Record,
    Refusal,
)
from queues.storage import MessageStore, Storage
from storage_drivers.sealed.claims import HOLD_MS, opened
from storage_drivers.sealed.vault import Vault

_log = logging.getLogger(__name__)

_ATTEMPTS = 10


class SealedMessages(MessageStore):
    """The contract's view on messages."""

    def __init__(self, inner: Storage, vault: Vault) -> None:
        self._inner = inner
        self._vault = vault

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
        """See the contract. Encrypts the messages, and the outbox, that ask for it."""
        if outbox is not None:
            outbox = self._vault.seal_record(project, outbox)
        if any(message.seal for message in messages):
            messages = [self._vault.seal(project, message) for message in messages]
            if idempotency is not None:
                idempotency = self._vault.fingerprint(project, queue, idempotency)
        return await self._inner.messages.post(
            project,
            queue,
            messages,
            queue_version=queue_version,
            idempotency=idempotency,
            now_ms=now_ms,
            outbox=outbox,
        )

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
        """See the contract.

        A page with a message that cannot be decrypted fails as a whole: a reader that was
        shown a page without it would never come back for it (promise 3).
        """
        page = await self._inner.messages.list(
            project,
            queue,
            after_seq=after_seq,
            limit=limit,
            include_claimed=include_claimed,
            include_delayed=include_delayed,
            exclude_client_id=exclude_client_id,
            now_ms=now_ms,
        )
        return page._replace(messages=self._open_all(project, queue, page.messages))

    async def get(
        self, project: str, queue: str, seqs: Sequence[int], *, now_ms: int
    ) -> Sequence[Message]:
        """See the contract. Fails as a whole like `list`."""
        found = await self._inner.messages.get(project, queue, seqs, now_ms=now_ms)
        return self._open_all(project, queue, found)

    async def delete(
        self,
        project: str,
        queue: str,
        seqs: Sequence[int],
        *,
        claim_ids: Collection[str] | None,
        now_ms: int,
    ) -> Mapping[int, Refusal]:
        """See the contract. Needs no key."""
        return await self._inner.messages.delete(
            project, queue, seqs, claim_ids=claim_ids, now_ms=now_ms
        )

    async def pop(
        self, project: str, queue: str, *, limit: int, now_ms: int
    ) -> Sequence[Message]:
        """See the contract. One step, and one more when it brings too few, if all is plain.

        From the first encrypted message on it leases, decrypts, and only then removes what
        could be decrypted. What cannot be, and everything after a crash or an outage in
        between, is ready again when the lease of `HOLD_MS` ends, with `claim_count` one
        higher.

        Raises: StorageUnavailable when nothing was removed, and the store failed or nothing
        of what was found could be decrypted.
        """
        popped: MutableSequence[Message] = []
        try:
            await self._pop_into(popped, project, queue, limit, now_ms)
        except StorageUnavailable as ex:
            if not popped:
                raise
            # NOTE: what was removed must reach the caller, whatever became of the rest.
            _log.warning("storage: a pop ended early: %s", ex)
        return popped

    async def tail(self, project: str, queue: str) -> Position:
        """See the contract."""
        return await self._inner.messages.tail(project, queue)

    async def next_due(self, project: str, queue: str, *, now_ms: int) -> int | None:
        """See the contract."""
        return await self._inner.messages.next_due(project, queue, now_ms=now_ms)

    async def _pop_into(
        self,
        popped: MutableSequence[Message],
        project: str,
        queue: str,
        limit: int,
        now_ms: int,
    ) -> None:
        try:
            while (rest := limit - len(popped)) and (
                found := await self._inner.messages.pop(
                    project, queue, limit=rest, now_ms=now_ms
                )
            ):
                popped += found
        except MessageSealed:
            popped += await self._open_and_remove(project, queue, rest, now_ms)

    async def _open_and_remove(
        self, project: str, queue: str, limit: int, now_ms: int
    ) -> Sequence[Message]:
        claim = await self._lease(project, queue, limit, now_ms)
        if claim is None:
            return ()
        messages = opened(self._vault, project, queue, claim).messages
        refused = await self._inner.messages.delete(
            project,
            queue,
            [message.seq for message in messages],
            claim_ids=(claim.id,),
            now_ms=now_ms,
        )
        return [_unclaimed(message) for message in messages if message.seq not in refused]

    async def _lease(self, project: str, queue: str, limit: int, now_ms: int) -> Claim | None:
        for _ in range(_ATTEMPTS):
            found = await self._inner.queues.get(project, queue)
            if found is None:
                return None
            try:
                return await self._inner.claims.claim(
                    project,
                    queue,
                    claim_id=f"pop-{secrets.token_hex(12)}",
                    limit=limit,
                    lease_ms=HOLD_MS,
                    grace_ms=0,
                    dead_letter=None,
                    queue_version=found.version,
                    idempotency=None,
                    now_ms=now_ms,
                )
            except QueueChanged:
                continue
        raise StorageUnavailable("the queue changes faster than the pop can follow")

    def _open_all(
        self, project: str, queue: str, messages: Sequence[Message]
    ) -> Sequence[Message]:
        return [self._vault.open(project, queue, message) for message in messages]


def _unclaimed(message: Message) -> Message:
    """Return a leased message as it stood before the lease."""
    return message._replace(claim_id=None, claim_count=message.claim_count - 1, visible_ms=0)
