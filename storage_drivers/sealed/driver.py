"""A storage that encrypts bodies and documents before another storage keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from queues.model import Health
from queues.storage import Storage
from storage_drivers.sealed.claims import SealedClaims
from storage_drivers.sealed.messages import SealedMessages
from storage_drivers.sealed.queues import SealedQueues
from storage_drivers.sealed.records import SealedRecords
from storage_drivers.sealed.vault import Vault


class SealedStorage(Storage):
    """Encrypts messages and records that ask for it, and decrypts what comes back encrypted.

    Everything else is that of the storage behind, with one exception: a pop that meets an
    encrypted message goes on as a short lease, then a removal, so that what cannot be
    decrypted is not destroyed.
    """

    def __init__(self, inner: Storage, keys: Mapping[str, bytes]) -> None:
        """Stand in front of `inner` with master keys of 32 bytes by id, the current first."""
        vault = Vault(keys)
        self._inner = inner
        self.capabilities = replace(inner.capabilities, encrypts=True)
        self.queues = SealedQueues(inner, vault)
        self.messages = SealedMessages(inner, vault)
        self.claims = SealedClaims(inner, vault)
        self.records = SealedRecords(inner, vault)

    def __getattr__(self, name: str) -> Any:
        """Pass on the views that hold no secrets; a driver may make them when it is opened."""
        if name not in ("credentials", "quotas", "wakeups"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    async def open(self) -> None:
        """See the contract."""
        await self._inner.open()

    async def close(self) -> None:
        """See the contract."""
        await self._inner.close()

    async def health(self) -> Health:
        """See the contract."""
        return await self._inner.health()

    async def sweep(self, *, limit: int, now_ms: int) -> int:
        """See the contract. Needs no key."""
        return await self._inner.sweep(limit=limit, now_ms=now_ms)
