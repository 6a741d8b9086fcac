"""The contract seen from one queue: the same calls with defaults, and time from the clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from queues.model import (
    Claim,
    DeadLetterPolicy,
    Idempotency,
    Message,
    MessagePage,
    NewMessage,
    Position,
    Queue,
    Record,
    Refusal,
    Stats,
)
from queues.storage import Storage
from tests.clock import MovableClock
from tests.factories import new_messages

LEASE_S = 60
GRACE_S = 60

_claim_numbers = count(1)


@dataclass(frozen=True)
class QueueHandle:
    """One queue of one project in one storage. Names of calls are those of the contract."""

    storage: Storage
    clock: MovableClock
    project: str = "alpha"
    queue: str = "orders"
    version: int = 1

    def on(self, **changes: object) -> QueueHandle:
        """Return the same handle on another storage, project, queue or version."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def now_ms(self) -> int:
        """The time that the next call will carry."""
        return self.clock.now_ms()

    async def create(self, metadata: bytes = b"{}") -> tuple[Queue, bool]:
        return await self.storage.queues.create(
            self.project,
            self.queue,
            metadata=metadata,
            version=self.version,
            now_ms=self.now_ms,
        )

    async def describe(self) -> Queue | None:
        return await self.storage.queues.get(self.project, self.queue)

    async def update(self, metadata: bytes, *, expected_version: int, version: int) -> Queue:
        return await self.storage.queues.update(
            self.project,
            self.queue,
            metadata=metadata,
            expected_version=expected_version,
            version=version,
        )

    async def drop(self) -> None:
        await self.storage.queues.delete(self.project, self.queue, now_ms=self.now_ms)

    async def purge(self) -> None:
        await self.storage.queues.purge(self.project, self.queue, now_ms=self.now_ms)

    async def stats(self) -> Stats:
        return await self.storage.queues.stats(self.project, self.queue, now_ms=self.now_ms)

    async def counts(self) -> tuple[int, int]:
        """Return (claimed, total) of the stats."""
        stats = await self.stats()
        return stats.claimed, stats.total

    async def post(
        self,
        *messages: NewMessage,
        idempotency: Idempotency | None = None,
        outbox: Record | None = None,
    ) -> list[int]:
        """Post the messages, one of no interest if none is given."""
        seqs = await self.storage.messages.post(
            self.project,
            self.queue,
            messages or new_messages(1),
            queue_version=self.version,
            idempotency=idempotency,
            now_ms=self.now_ms,
            outbox=outbox,
        )
        return list(seqs)

    async def page(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        claimed: bool = False,
        delayed: bool = False,
        but_of: str | None = None,
    ) -> MessagePage:
        return await self.storage.messages.list(
            self.project,
            self.queue,
            after_seq=after,
            limit=limit,
            include_claimed=claimed,
            include_delayed=delayed,
            exclude_client_id=but_of,
            now_ms=self.now_ms,
        )

    async def listed(self, **flags: object) -> list[int]:
        """Return the sequences of one page."""
        return seqs_of((await self.page(**flags)).messages)  # type: ignore[arg-type]

    async def everything(self) -> list[Message]:
        """Return all messages in every state, page by page."""
        found: list[Message] = []
        marker: int | None = 0
        while marker is not None:
            page = await self.page(after=marker, claimed=True, delayed=True)
            found += page.messages
            marker = page.next_seq
        return found

    async def get(self, *seqs: int) -> list[Message]:
        messages = self.storage.messages
        return list(await messages.get(self.project, self.queue, seqs, now_ms=self.now_ms))

    async def get_one(self, seq: int) -> Message:
        """Return the message, which must exist."""
        (message,) = await self.get(seq)
        return message

    async def delete(
        self, *seqs: int, claim_ids: Collection[str] | None = None
    ) -> dict[int, Refusal]:
        refused: Mapping[int, Refusal] = await self.storage.messages.delete(
            self.project, self.queue, seqs, claim_ids=claim_ids, now_ms=self.now_ms
        )
        return dict(refused)

    async def pop(self, limit: int = 1) -> list[int]:
        """Pop and return the sequences."""
        return seqs_of(await self.pop_messages(limit))

    async def pop_messages(self, limit: int = 1) -> list[Message]:
        messages = self.storage.messages
        return list(
            await messages.pop(self.project, self.queue, limit=limit, now_ms=self.now_ms)
        )

    async def tail(self) -> Position:
        return await self.storage.messages.tail(self.project, self.queue)

    async def next_due(self) -> int | None:
        messages = self.storage.messages
        return await messages.next_due(self.project, self.queue, now_ms=self.now_ms)

    async def claim(
        self,
        limit: int = 10,
        *,
        claim_id: str | None = None,
        lease_s: float = LEASE_S,
        grace_s: float = GRACE_S,
        dead_letter: DeadLetterPolicy | None = None,
        idempotency: Idempotency | None = None,
    ) -> Claim | None:
        return await self.storage.claims.claim(
            self.project,
            self.queue,
            claim_id=claim_id or f"claim-{next(_claim_numbers)}",
            limit=limit,
            lease_ms=round(lease_s * 1000),
            grace_ms=round(grace_s * 1000),
            dead_letter=dead_letter,
            queue_version=self.version,
            idempotency=idempotency,
            now_ms=self.now_ms,
        )

    async def claim_some(self, limit: int = 10, **options: object) -> Claim:
        """Claim, and insist on getting something."""
        claim = await self.claim(limit, **options)  # type: ignore[arg-type]
        assert claim is not None, "nothing was ready"
        return claim

    async def get_claim(self, claim_id: str) -> Claim | None:
        claims = self.storage.claims
        return await claims.get(self.project, self.queue, claim_id, now_ms=self.now_ms)

    async def renew(
        self,
        claim_id: str,
        *,
        lease_s: float = LEASE_S,
        grace_s: float = GRACE_S,
        idempotency: Idempotency | None = None,
    ) -> None:
        await self.storage.claims.renew(
            self.project,
            self.queue,
            claim_id,
            lease_ms=round(lease_s * 1000),
            grace_ms=round(grace_s * 1000),
            idempotency=idempotency,
            now_ms=self.now_ms,
        )

    async def hold(
        self, *seqs: int, claim_id: str = "holder", lease_s: float = LEASE_S
    ) -> list[Message]:
        held = await self.storage.claims.hold(
            self.project,
            self.queue,
            seqs,
            claim_id=claim_id,
            lease_ms=round(lease_s * 1000),
            now_ms=self.now_ms,
        )
        return list(held)

    async def release(self, claim_id: str) -> None:
        claims = self.storage.claims
        await claims.release(self.project, self.queue, claim_id, now_ms=self.now_ms)

    async def sweep(self, limit: int = 100) -> int:
        return await self.storage.sweep(limit=limit, now_ms=self.now_ms)

    async def sweep_all(self) -> int:
        """Sweep until nothing is left to do, and return how many messages were dealt with."""
        total = 0
        for _ in range(1000):
            swept = await self.sweep()
            if not swept:
                return total
            total += swept
        raise AssertionError("sweeping does not come to an end")


def seqs_of(messages: Sequence[Message]) -> list[int]:
    """Return the sequences of the messages."""
    return [message.seq for message in messages]
