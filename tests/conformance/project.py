"""The second part of the contract seen from one project, with the time of the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from queues.model import Credential, CredentialKind, Rate, Revocations, Usage
from queues.storage import Storage
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle

#: As a version of revocations: what no store is ever at.
UNKNOWN = -1


@dataclass(frozen=True)
class ProjectHandle:
    """One project in one storage. Names of calls are those of the contract.

    `envelope_bytes` is what the storage adds to the body of each message.
    """

    storage: Storage
    clock: MovableClock
    project: str = "alpha"
    envelope_bytes: int = 0

    def on(self, **changes: object) -> ProjectHandle:
        """Return the same handle on another storage or project."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def now_ms(self) -> int:
        """The time that the next call will carry."""
        return self.clock.now_ms()

    async def queue(self, name: str) -> QueueHandle:
        """Create a queue of the project, and return its handle."""
        handle = QueueHandle(self.storage, self.clock, self.project, name)
        await handle.create()
        return handle

    def made(
        self,
        credential_id: str = "id-1",
        *,
        kind: CredentialKind = CredentialKind.TOKEN,
        document: bytes = b"{}",
        ttl_s: float = 3600,
        uses_left: int | None = None,
    ) -> Credential:
        """Return a credential that begins now; it is not stored."""
        expires_ms = self.now_ms + round(ttl_s * 1000)
        return Credential(credential_id, kind, document, self.now_ms, expires_ms, uses_left)

    async def add(self, credential_id: str = "id-1", **fields: object) -> Credential:
        """Store a credential and return it."""
        made = self.made(credential_id, **fields)  # type: ignore[arg-type]
        await self.add_credential(made)
        return made

    async def add_credential(self, credential: Credential) -> None:
        await self.storage.credentials.add(self.project, credential, now_ms=self.now_ms)

    async def get(self, credential_id: str = "id-1") -> Credential | None:
        credentials = self.storage.credentials
        return await credentials.get(self.project, credential_id, now_ms=self.now_ms)

    async def listed(
        self, kind: CredentialKind = CredentialKind.TOKEN, *, marker: str = "", limit: int = 100
    ) -> list[str]:
        """Return the ids of one page."""
        return [found.id for found in await self.page(kind, marker=marker, limit=limit)]

    async def page(
        self, kind: CredentialKind = CredentialKind.TOKEN, *, marker: str = "", limit: int = 100
    ) -> Sequence[Credential]:
        return await self.storage.credentials.list(
            self.project, kind, marker=marker, limit=limit, now_ms=self.now_ms
        )

    async def spend(self, credential_id: str = "id-1") -> bool:
        credentials = self.storage.credentials
        return await credentials.spend(self.project, credential_id, now_ms=self.now_ms)

    async def revoke(self, credential_id: str = "id-1") -> bool:
        credentials = self.storage.credentials
        return await credentials.revoke(self.project, credential_id, now_ms=self.now_ms)

    async def revocations(self, known: int) -> Revocations | None:
        return await self.storage.credentials.revocations(known=known, now_ms=self.now_ms)

    async def revoked(self) -> frozenset[str]:
        """Return the ids of all revoked credentials."""
        return (await self.all_revocations()).ids

    async def all_revocations(self) -> Revocations:
        """Return what one gets who knows nothing yet."""
        found = await self.revocations(UNKNOWN)
        assert found is not None
        return found

    async def usage(self) -> Usage:
        """Return the usage, with the bytes that bodies had before they were encrypted."""
        found = await self.storage.quotas.usage(self.project, now_ms=self.now_ms)
        plain_bytes = found.body_bytes - found.messages * self.envelope_bytes
        return found._replace(body_bytes=plain_bytes)

    async def take(
        self, tokens: int, rate: Rate, *, bucket: str = "requests", ago_s: float = 0
    ) -> int:
        """Take tokens, by a clock that is `ago_s` behind."""
        now_ms = self.now_ms - round(ago_s * 1000)
        return await self.storage.quotas.take(
            self.project, bucket, tokens=tokens, rate=rate, now_ms=now_ms
        )
