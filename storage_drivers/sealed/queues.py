"""Queues in front of which messages are sealed: only their stats hold messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from queues.errors import StorageUnavailable
from queues.model import Message, Queue, Stats
from queues.storage import QueueStore, Storage
from storage_drivers.sealed.vault import Vault


class SealedQueues(QueueStore):
    """The contract's view on queues."""

    def __init__(self, inner: Storage, vault: Vault) -> None:
        self._inner = inner
        self._vault = vault

    async def create(
        self, project: str, queue: str, *, metadata: bytes, version: int, now_ms: int
    ) -> tuple[Queue, bool]:
        """See the contract."""
        return await self._inner.queues.create(
            project, queue, metadata=metadata, version=version, now_ms=now_ms
        )

    async def get(self, project: str, queue: str) -> Queue | None:
        """See the contract."""
        return await self._inner.queues.get(project, queue)

    async def update(
        self,
        project: str,
        queue: str,
        *,
        metadata: bytes,
        expected_version: int,
        version: int,
    ) -> Queue:
        """See the contract."""
        return await self._inner.queues.update(
            project,
            queue,
            metadata=metadata,
            expected_version=expected_version,
            version=version,
        )

    async def delete(self, project: str, queue: str, *, now_ms: int) -> None:
        """See the contract."""
        await self._inner.queues.delete(project, queue, now_ms=now_ms)

    async def purge(self, project: str, queue: str, *, now_ms: int) -> None:
        """See the contract."""
        await self._inner.queues.purge(project, queue, now_ms=now_ms)

    async def list(self, project: str, *, marker: str, limit: int) -> Sequence[Queue]:
        """See the contract."""
        return await self._inner.queues.list(project, marker=marker, limit=limit)

    async def count(self, project: str) -> int:
        """See the contract."""
        return await self._inner.queues.count(project)

    async def stats(self, project: str, queue: str, *, now_ms: int) -> Stats:
        """See the contract. An end of the queue that cannot be decrypted stays sealed.

        Who looks for a missing key needs the counts and ages.
        """
        stats = await self._inner.queues.stats(project, queue, now_ms=now_ms)
        return replace(
            stats,
            oldest=self._opened(project, queue, stats.oldest),
            newest=self._opened(project, queue, stats.newest),
        )

    def _opened(self, project: str, queue: str, message: Message | None) -> Message | None:
        if message is None:
            return None
        try:
            return self._vault.open(project, queue, message)
        except StorageUnavailable:
            return message
