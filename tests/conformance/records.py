"""The third part of the contract seen from one kind and scope, with the time of the clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

from queues.model import Record, RecordKind, Taken
from queues.storage import Storage
from tests.clock import MovableClock

LEASE_S = 60

#: What is due may be taken by any call of so long a time.
LATEST_MS = 1000
_STEP_MS = 100

_versions = count(1_000, 1_000)


@dataclass(frozen=True)
class RecordsHandle:
    """The records of one kind and scope. Names of calls are those of the contract.

    What comes back is compared with what was stored, so it is shown without `seal`.
    """

    storage: Storage
    clock: MovableClock
    project: str = "alpha"
    kind: RecordKind = RecordKind.CURSOR
    scope: str = "orders"

    def on(self, **changes: object) -> RecordsHandle:
        """Return the same handle on another storage, project, kind or scope."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def now_ms(self) -> int:
        """The time that the next call will carry."""
        return self.clock.now_ms()

    def made(
        self,
        key: str = "key",
        document: bytes = b'{"a":1}',
        *,
        version: int | None = None,
        due_ms: int | None = None,
        expires_ms: int | None = None,
    ) -> Record:
        """Return a record under a version of its own; it is not stored."""
        own = next(_versions) if version is None else version
        return Record(self.kind, self.scope, key, document, own, due_ms, expires_ms)

    async def create(self, record: Record) -> bool:
        return await self.storage.records.create(self.project, record, now_ms=self.now_ms)

    async def add(self, *of: object, **fields: object) -> Record:
        """Make a record, store it, and return it."""
        record = self.made(*of, **fields)  # type: ignore[arg-type]
        assert await self.create(record), "it is there already"
        return record

    async def get(self, key: str = "key") -> Record | None:
        found = await self.storage.records.get(
            self.project, self.kind, self.scope, key, now_ms=self.now_ms
        )
        return found and _shown(found)

    async def replace(self, record: Record) -> bool:
        return await self.storage.records.replace(self.project, record, now_ms=self.now_ms)

    async def delete(self, key: str = "key", *, version: int | None = None) -> bool:
        return await self.storage.records.delete(
            self.project, self.kind, self.scope, key, version=version, now_ms=self.now_ms
        )

    async def page(
        self, *, prefix: str = "", marker: str = "", limit: int = 100
    ) -> list[Record]:
        found = await self.storage.records.list(
            self.project,
            self.kind,
            self.scope,
            prefix=prefix,
            marker=marker,
            limit=limit,
            now_ms=self.now_ms,
        )
        return [_shown(record) for record in found]

    async def listed(self, **asked: object) -> list[str]:
        """Return the keys of one page."""
        return [record.key for record in await self.page(**asked)]  # type: ignore[arg-type]

    async def take(self, limit: int = 100, *, lease_s: float = LEASE_S) -> list[Taken]:
        lease_ms = round(lease_s * 1000)
        taken = await self.storage.records.take(
            limit=limit, lease_ms=lease_ms, now_ms=self.now_ms
        )
        assert len(taken) <= limit, "more than asked for"
        return [each._replace(record=_shown(each.record)) for each in taken]

    async def take_all(self, limit: int = 100, *, lease_s: float = LEASE_S) -> list[Taken]:
        """Take what is due now, and so in one of the calls of the next second."""
        found: list[Taken] = []
        for _ in range(0, LATEST_MS + 1, _STEP_MS):
            while taken := await self.take(limit, lease_s=lease_s):
                found += taken
            self.clock.advance(ms=_STEP_MS)
        return found


def _shown(record: Record) -> Record:
    return record._replace(seal=False)


def keys_of(taken: list[Taken]) -> list[str]:
    """Return the keys of the records that were taken."""
    return [each.record.key for each in taken]
