"""Which credentials are revoked, known in every process and yet never out of date."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from queues.clock import Clock
from queues.storage import Storage


class RevocationList:
    """The revoked credentials of all projects, as one process knows them.

    A credential whose revocation was answered is refused by every process from then on:
    each look asks the store, but all that wait at the same time ask together, with one
    cheap read that began after they came.
    """

    def __init__(self, storage: Storage, clock: Clock) -> None:
        """Ask `storage`."""
        self._storage = storage
        self._clock = clock
        self._version = 0
        self._ids: frozenset[str] = frozenset()
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def has_any(self, credential_ids: Iterable[str]) -> bool:
        """Say whether one of the credentials is revoked.

        Raises: StorageUnavailable.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._read_after(self._running))
            self._next.add_done_callback(_seen)
        # NOTE: shielded, as others wait for the same answer.
        await asyncio.shield(self._next)
        return not self._ids.isdisjoint(credential_ids)

    async def _read_after(self, running: asyncio.Task[None] | None) -> None:
        """Read once the reading before has ended: whoever came meanwhile shares this one."""
        if running is not None:
            await asyncio.wait([running])
        self._running, self._next = self._next, None
        found = await self._storage.credentials.revocations(
            known=self._version, now_ms=self._clock.now_ms()
        )
        if found is not None:
            self._version, self._ids = found.version, found.ids


def _seen(task: asyncio.Task[None]) -> None:
    """Take note of a failure: whoever waits meets it, though all may have gone away."""
    if not task.cancelled():
        task.exception()
