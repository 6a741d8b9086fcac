"""Records for tests of the Redis driver: the calls of the contract with defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace

from queues.model import Record, RecordKind
from storage_drivers.redis import Driver
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle
from tests.factories import new_messages

LEASE_S = 30


@dataclass(frozen=True)
class Records:
    """The records of one scope of one project. Those without more said are due now."""

    storage: Driver
    clock: MovableClock
    project: str = "alpha"
    scope: str = "orders"

    def on(self, **changes: object) -> Records:
        """Return the same handle on another storage, project or scope."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def new(
        self, key: str, *, in_s: float | None = 0, ttl_s: float | None = None, version: int = 1
    ) -> Record:
        """Return a record that is due in so many seconds, and lives so long."""
        return Record(
            RecordKind.LANE, self.scope, key, b"document", version,
            due_ms=self._at(in_s), expires_ms=self._at(ttl_s),
        )  # fmt: skip

    def _at(self, in_s: float | None) -> int | None:
        return None if in_s is None else self.clock.now_ms() + round(in_s * 1000)

    async def create(self, key: str = "key", **times: float | None) -> Record:
        record = self.new(key, **times)  # type: ignore[arg-type]
        now_ms = self.clock.now_ms()
        assert await self.storage.records.create(self.project, record, now_ms=now_ms)
        return record

    async def get(self, key: str = "key") -> Record | None:
        now_ms = self.clock.now_ms()
        return await self.storage.records.get(
            self.project, RecordKind.LANE, self.scope, key, now_ms=now_ms
        )

    async def replace(self, record: Record) -> bool:
        now_ms = self.clock.now_ms()
        return await self.storage.records.replace(self.project, record, now_ms=now_ms)

    async def delete(self, key: str = "key") -> bool:
        now_ms = self.clock.now_ms()
        return await self.storage.records.delete(
            self.project, RecordKind.LANE, self.scope, key, version=None, now_ms=now_ms
        )

    async def listed(self, *, limit: int = 10) -> list[str]:
        """Return the keys of one page."""
        found = await self.storage.records.list(
            self.project, RecordKind.LANE, self.scope,
            prefix="", marker="", limit=limit, now_ms=self.clock.now_ms(),
        )  # fmt: skip
        return [record.key for record in found]

    async def take(self, limit: int = 10) -> list[tuple[str, str]]:
        """Take what is due, of all scopes, and return scopes and keys."""
        taken = await self.storage.records.take(
            limit=limit, lease_ms=LEASE_S * 1000, now_ms=self.clock.now_ms()
        )
        return [(one.record.scope, one.record.key) for one in taken]

    async def post(self, count: int = 1, *, version: int = 1) -> list[int]:
        """Post messages with an outbox record that is due now."""
        outbox = self.new("")._replace(kind=RecordKind.OUTBOX)
        seqs = await self.storage.messages.post(
            self.project, self.scope, new_messages(count), queue_version=version,
            idempotency=None, now_ms=self.clock.now_ms(), outbox=outbox,
        )  # fmt: skip
        return list(seqs)

    @property
    def queue(self) -> QueueHandle:
        """The queue of the scope."""
        return QueueHandle(self.storage, self.clock, self.project, self.scope)
