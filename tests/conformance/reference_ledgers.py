"""Credentials and quotas in the plainest Python there is; see `reference.py`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from queues.ledgers import CredentialStore, QuotaStore
from queues.model import Credential, CredentialKind, Rate, Revocations, Usage
from tests.conformance.world import Bucket, StoredCredential, World

#: So near to a whole token counts as one: 0.1 a second for ten seconds is no less.
NEARLY = Fraction(1, 1_000_000)


class ReferenceCredentials(CredentialStore):
    def __init__(self, world: World) -> None:
        self._world = world

    async def add(self, project: str, credential: Credential, *, now_ms: int) -> None:
        known = self._world.credentials.get((project, credential.id))
        if known is None or not known.exists(now_ms):
            stored = StoredCredential(credential)
            self._world.credentials[project, credential.id] = stored

    async def get(self, project: str, credential_id: str, *, now_ms: int) -> Credential | None:
        stored = self._world.credentials.get((project, credential_id))
        return stored.credential if stored and stored.is_live(now_ms) else None

    async def list(
        self, project: str, kind: CredentialKind, *, marker: str, limit: int, now_ms: int
    ) -> Sequence[Credential]:
        mine = [
            stored.credential
            for (owner, _), stored in self._world.credentials.items()
            if owner == project and stored.credential.kind == kind and stored.is_live(now_ms)
        ]
        return sorted(found for found in mine if found.id > marker)[:limit]

    async def spend(self, project: str, credential_id: str, *, now_ms: int) -> bool:
        stored = self._world.credentials.get((project, credential_id))
        if stored is None or not stored.is_live(now_ms):
            return False
        uses_left = stored.credential.uses_left
        if uses_left is None:
            return True
        if uses_left == 0:
            return False
        stored.credential = stored.credential._replace(uses_left=uses_left - 1)
        return True

    async def revoke(self, project: str, credential_id: str, *, now_ms: int) -> bool:
        stored = self._world.credentials.get((project, credential_id))
        if stored is None or not stored.is_live(now_ms):
            return False
        stored.revoked = True
        self._world.revocation = max(self._world.revocation + 1, now_ms)
        return True

    async def revocations(self, *, known: int, now_ms: int) -> Revocations | None:
        if known == self._world.revocation:
            return None
        ids = frozenset(
            stored.credential.id
            for stored in self._world.credentials.values()
            if stored.revoked and stored.exists(now_ms)
        )
        return Revocations(self._world.revocation, ids)


class ReferenceQuotas(QuotaStore):
    def __init__(self, world: World) -> None:
        self._world = world

    async def put(self, project: str, document: bytes) -> None:
        self._world.quotas[project] = document

    async def get(self, project: str) -> bytes | None:
        return self._world.quotas.get(project)

    async def delete(self, project: str) -> None:
        self._world.quotas.pop(project, None)

    async def list(self, *, marker: str | None, limit: int) -> Sequence[tuple[str, bytes]]:
        limited = sorted(self._world.quotas.items())
        return [pair for pair in limited if marker is None or pair[0] > marker][:limit]

    async def usage(self, project: str, *, now_ms: int) -> Usage:
        queues = [queue for (owner, _), queue in self._world.queues.items() if owner == project]
        stored = [message for queue in queues for message in queue.messages]
        return Usage(
            queues=len(queues),
            messages=len(stored),
            body_bytes=sum(len(each.message.body) for each in stored),
            claimed=sum(each.holder(now_ms) is not None for each in stored),
        )

    async def take(
        self, project: str, bucket: str, *, tokens: int, rate: Rate, now_ms: int
    ) -> int:
        full = Bucket(Fraction(rate.burst), now_ms)
        found = self._world.buckets.setdefault((project, bucket), full)
        found.fill(rate, now_ms)
        taken = min(tokens, int(found.level + NEARLY))
        found.level -= taken
        return taken
