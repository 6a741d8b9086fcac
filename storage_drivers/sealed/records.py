"""Records: documents sealed on their way in, opened on every way out."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from queues.errors import StorageUnavailable
from queues.model import Record, RecordKind, Taken
from queues.records import RecordStore
from queues.storage import Storage
from storage_drivers.sealed.vault import Vault

_log = logging.getLogger(__name__)

#: So often a call takes others instead of records that nobody here can decrypt.
_ATTEMPTS = 10


class SealedRecords(RecordStore):
    """The contract's view on records."""

    def __init__(self, inner: Storage, vault: Vault) -> None:
        self._inner = inner
        self._vault = vault

    async def create(self, project: str, record: Record, *, now_ms: int) -> bool:
        """See the contract. Encrypts a record that asks for it."""
        sealed = self._vault.seal_record(project, record)
        return await self._inner.records.create(project, sealed, now_ms=now_ms)

    async def get(
        self, project: str, kind: RecordKind, scope: str, key: str, *, now_ms: int
    ) -> Record | None:
        """See the contract."""
        found = await self._inner.records.get(project, kind, scope, key, now_ms=now_ms)
        return found and self._vault.open_record(project, found)

    async def replace(self, project: str, record: Record, *, now_ms: int) -> bool:
        """See the contract. Encrypts a record that asks for it."""
        sealed = self._vault.seal_record(project, record)
        return await self._inner.records.replace(project, sealed, now_ms=now_ms)

    async def delete(
        self,
        project: str,
        kind: RecordKind,
        scope: str,
        key: str,
        *,
        version: int | None,
        now_ms: int,
    ) -> bool:
        """See the contract. Needs no key."""
        return await self._inner.records.delete(
            project, kind, scope, key, version=version, now_ms=now_ms
        )

    async def list(
        self,
        project: str,
        kind: RecordKind,
        scope: str,
        *,
        prefix: str,
        marker: str,
        limit: int,
        now_ms: int,
    ) -> Sequence[Record]:
        """See the contract. A page with a record that cannot be decrypted fails as a whole."""
        found = await self._inner.records.list(
            project, kind, scope, prefix=prefix, marker=marker, limit=limit, now_ms=now_ms
        )
        return [self._vault.open_record(project, record) for record in found]

    async def take(self, *, limit: int, lease_ms: int, now_ms: int) -> Sequence[Taken]:
        """See the contract.

        What cannot be decrypted is logged and stays under the lease, so that it stops
        nothing behind it, and a server that has the key takes it later.
        """
        for _ in range(_ATTEMPTS):
            found = await self._inner.records.take(
                limit=limit, lease_ms=lease_ms, now_ms=now_ms
            )
            opened = self._opened(found)
            if opened or len(found) < limit:
                break
        return opened

    def _opened(self, found: Sequence[Taken]) -> Sequence[Taken]:
        opened = []
        for project, record in found:
            try:
                opened.append(Taken(project, self._vault.open_record(project, record)))
            except StorageUnavailable as ex:
                _log.error("storage: %s", ex)
        return opened
