"""Rates of projects: token buckets that all server processes share through the store."""

from __future__ import annotations

import asyncio

from queues.clock import Clock
from queues.errors import RateExceeded
from queues.model import Rate
from queues.storage import Storage

#: A process takes tokens for so long at once, so few requests have to ask the store.
_AHEAD_S = 0.1

#: A bucket holds what its rate gives in this time, so short bursts pass.
_BURST_S = 1.0


class Bucket:
    """One bucket of one project, as one process knows it.

    At most one call to the store is on its way. What was taken and not used stays with the
    process, so in all a project may exceed its rate by what `_AHEAD_S` gives, once for each
    process.
    """

    def __init__(self, storage: Storage, clock: Clock, project: str, name: str) -> None:
        """Share the bucket `name` of `project` through `storage`."""
        self._storage = storage
        self._clock = clock
        self._project = project
        self._name = name
        self._tokens = 0.0
        self._closed_until_ms = 0
        self._lock = asyncio.Lock()

    async def take(self, tokens: int, per_s: float) -> None:
        """Take tokens; more than the bucket holds leave a debt, to be waited for.

        Raises: RateExceeded with the time after which to try again, StorageUnavailable.
        """
        if self._tokens < self._needed(tokens, per_s):
            async with self._lock:
                await self._refill(tokens, per_s)
        self._tokens -= tokens

    async def _refill(self, tokens: int, per_s: float) -> None:
        needed, now_ms = self._needed(tokens, per_s), self._clock.now_ms()
        if self._tokens >= needed:
            return
        # PERF: while the bucket is known to be empty, nobody asks the store.
        if now_ms >= self._closed_until_ms:
            wanted = max(needed - self._tokens, per_s * _AHEAD_S)
            self._tokens += await self._storage.quotas.take(
                self._project,
                self._name,
                tokens=max(1, round(wanted + 0.5)),
                rate=Rate(per_s, _burst(per_s)),
                now_ms=now_ms,
            )
        if self._tokens < needed:
            wait_ms = (needed - self._tokens) / per_s * 1000
            if now_ms >= self._closed_until_ms:
                self._closed_until_ms = now_ms + min(1000, int(wait_ms) + 1)
            raise RateExceeded(
                f"The project exceeds its rate of {per_s:g} {self._name} per second.",
                retry_after_s=wait_ms / 1000,
            )

    def _needed(self, tokens: int, per_s: float) -> float:
        return min(tokens, _burst(per_s))


def _burst(per_s: float) -> int:
    return max(1, int(per_s * _BURST_S))
