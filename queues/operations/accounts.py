"""What one server process knows of the limits and the usage of one project."""

from __future__ import annotations

import asyncio

from queues import project_limits
from queues.clock import Clock
from queues.errors import QuotaExceeded, StorageUnavailable
from queues.model import Usage
from queues.operations.rates import Bucket
from queues.project_limits import ProjectLimits
from queues.storage import Storage

#: So often the limits of an active project are read anew.
REREAD_MS = 5000

#: So often what an active project stores is counted anew.
REFRESH_MS = 1000

#: A project at its quota is counted no more often than this.
RECOUNT_MS = 200

_NOTHING = Usage(0, 0, 0, 0)

#: What a refusal calls the numbers of `Usage`.
_NAMES = ("queues", "messages", "bytes", "claimed messages")


class Account:
    """Limits, last count, and what was admitted since; refreshed in the background."""

    def __init__(
        self, storage: Storage, clock: Clock, project: str, defaults: ProjectLimits
    ) -> None:
        """Keep the account of `project`; nothing is read yet."""
        self._storage = storage
        self._clock = clock
        self._project = project
        self._defaults = defaults
        self._usage: Usage | None = None
        self._admitted = _NOTHING
        self._counted_ms = 0
        self._read_ms = 0
        self._counting: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self.limits = defaults
        self.is_free = False
        self.requests = Bucket(storage, clock, project, "requests")
        self.messages = Bucket(storage, clock, project, "messages")

    async def read(self) -> None:
        """Read the limits of the project.

        Raises: StorageUnavailable.
        """
        self._read_ms = self._clock.now_ms()
        stored = await self._storage.quotas.get(self._project)
        overrides = project_limits.decode(stored) if stored else {}
        self.limits = self._defaults._replace(**overrides)
        self.is_free = not any(self.limits)

    def refresh(self) -> None:
        """Read the limits again in the background when they are old."""
        if self._reading is None and self._clock.now_ms() - self._read_ms >= REREAD_MS:
            self._reading = asyncio.create_task(self._read_quietly())

    async def admit(self, more: Usage) -> None:
        """Count what is about to be stored, if it fits under the quotas.

        Raises: QuotaExceeded naming the quota; StorageUnavailable when nothing is known yet.
        """
        age_ms = self._clock.now_ms() - self._counted_ms
        if self._usage is None or (self._exceeded(more) and age_ms >= RECOUNT_MS):
            await self._count()
        elif age_ms >= REFRESH_MS:
            self._start_counting()
        exceeded = self._exceeded(more)
        if exceeded is not None:
            name, limit = exceeded
            raise QuotaExceeded(f"The quota of the project is {limit} {name}.")
        self._admitted = _sum(self._admitted, more)

    def _exceeded(self, more: Usage) -> tuple[str, int] | None:
        expected = _sum(_sum(self._usage or _NOTHING, self._admitted), more)
        quotas = self.limits[: len(_NAMES)]
        for name, quota, number, added in zip(_NAMES, quotas, expected, more, strict=True):
            if quota and added and number > quota:
                return name, int(quota)
        return None

    async def _count(self) -> None:
        self._start_counting()
        if self._counting is not None:
            # NOTE: shielded, as others wait for the same count.
            await asyncio.shield(self._counting)

    def _start_counting(self) -> None:
        if self._counting is None:
            self._counting = asyncio.create_task(self._count_now())
            self._counting.add_done_callback(_seen)

    async def _count_now(self) -> None:
        before, self._counted_ms = self._admitted, self._clock.now_ms()
        try:
            self._usage = await self._storage.quotas.usage(
                self._project, now_ms=self._counted_ms
            )
            self._admitted = _difference(self._admitted, before)
        finally:
            self._counting = None

    async def _read_quietly(self) -> None:
        try:
            await self.read()
        except StorageUnavailable:
            # NOTE: what was known goes on to hold; the request itself will meet the store.
            return
        finally:
            self._reading = None


def _seen(task: asyncio.Task[None]) -> None:
    """Take note of a failure: whoever needs the count meets it, in the background nobody."""
    if not task.cancelled():
        task.exception()


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(*(a + b for a, b in zip(one, other, strict=True)))


def _difference(one: Usage, other: Usage) -> Usage:
    return Usage(*(a - b for a, b in zip(one, other, strict=True)))
