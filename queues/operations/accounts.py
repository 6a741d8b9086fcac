"""What one server process knows of the limits and the usage of one project."""

from __future__ import annotations

import asyncio

from queues import project_limits
from queues.clock import Clock
from queues.errors import NuskuError, QuotaExceeded, StorageUnavailable
from queues.model import Usage
from queues.operations.rates import Bucket
from queues.project_limits import ProjectLimits
from queues.storage import Storage

#: So often the limits of an active project are read anew.
REREAD_MS = 5000

#: So often what an active project stores is counted anew.
REFRESH_MS = 1000

#: A project at its quota is counted no more often than this, unless the count is in doubt.
RECOUNT_MS = 200

NOTHING = Usage(0, 0, 0, 0)

#: The quotas, in the order of `Usage`, and what a refusal says of their numbers.
_QUOTAS = ProjectLimits._fields[: len(NOTHING)]
_SHOWN = ("queues", "messages", "bytes", "claimed messages")


class Reservation:
    """What was admitted and is on its way to the store; in a `with` until it has answered."""

    def __init__(self, account: Account, reserved: Usage) -> None:
        """Reserve in `account`."""
        self.reserved = reserved
        self._account = account
        self._used = reserved

    def use(self, used: Usage) -> None:
        """Say how much of it came to be stored; all unless said otherwise."""
        self._used = used

    def __enter__(self) -> Reservation:
        """Begin the call to the store."""
        return self

    def __exit__(self, kind: object, ex: BaseException | None, trace: object) -> None:
        """End it. NOTE: what the store did not answer may have been stored all the same."""
        refused = isinstance(ex, NuskuError) and not isinstance(ex, StorageUnavailable)
        self._account.settle(self.reserved, NOTHING if refused else self._used)


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
        self._reserved = NOTHING
        self._used = NOTHING
        self._doubt = NOTHING
        self._counted_ms = 0
        self._counting: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self.read_ms = 0
        self.limits = defaults
        self.is_read = False
        self.is_free = False
        self.requests = Bucket(storage, clock, project, "requests")
        self.messages = Bucket(storage, clock, project, "messages")

    async def read(self) -> None:
        """Read the limits, together with all who want to know them.

        Raises: StorageUnavailable.
        """
        # NOTE: shielded, as others wait for the same answer.
        await asyncio.shield(self._start_reading())

    def refresh(self, now_ms: int) -> None:
        """Read the limits again in the background when they are old.

        NOTE: when the clock stepped back, they are, too. In a failure what was known goes on
        to hold; the request itself will meet the store.
        """
        if self._reading is None and not 0 <= now_ms - self.read_ms < REREAD_MS:
            self._start_reading()

    def forget_limits(self) -> None:
        """Let the next request read the limits, and pass over what is being read now."""
        self._reading = None
        self.is_read = self.is_free = False

    async def admit(self, more: Usage) -> Reservation:
        """Count what is about to be stored, if it fits under the quotas.

        Raises: QuotaExceeded naming the quota; StorageUnavailable when nothing is known yet.
        """
        await self._know(more)
        exceeded = self._exceeded(more)
        if exceeded is not None:
            raise self._refusal(exceeded)
        return self.reserve(more)

    async def admit_claim(self, messages: int) -> Reservation:
        """Count messages that are about to be claimed, as many as may be and at least one.

        Raises: QuotaExceeded, StorageUnavailable when nothing is known yet.
        """
        await self._know(NOTHING._replace(claimed=messages))
        left = self.limits.claimed_messages - self._expected(NOTHING).claimed
        if left <= 0:
            raise self._refusal(_QUOTAS.index("claimed_messages"))
        return self.reserve(NOTHING._replace(claimed=min(messages, left)))

    def settle(self, reserved: Usage, used: Usage) -> None:
        """End a reservation."""
        self._reserved = _difference(self._reserved, reserved)
        self._used = _sum(self._used, used)

    def reserve(self, more: Usage) -> Reservation:
        """Count what is about to be stored, whatever the quotas."""
        self._reserved = _sum(self._reserved, more)
        return Reservation(self, more)

    def _refusal(self, quota: int) -> QuotaExceeded:
        text = f"The quota of the project is {self.limits[quota]} {_SHOWN[quota]}."
        return QuotaExceeded(text, quota=_QUOTAS[quota])

    def _expected(self, more: Usage) -> Usage:
        """Return what there will be when everything on its way and `more` has been stored."""
        return _sum(_sum(self._usage or NOTHING, self._used), _sum(self._reserved, more))

    def _exceeded(self, more: Usage) -> int | None:
        """Return the place of the first quota that `more` does not fit under."""
        limited = zip(self.limits, self._expected(more), more, strict=False)
        for quota, (limit, expected, added) in enumerate(limited):
            if limit and added and expected > limit:
                return quota
        return None

    async def _know(self, more: Usage) -> None:
        """Count when nothing is known, and before a refusal; else now and then, behind."""
        # NOTE: twice, if the count that was shared was in doubt.
        for _ in range(2):
            if not self._must_count(more):
                break
            await asyncio.shield(self._start_counting())
        if not 0 <= self._clock.now_ms() - self._counted_ms < REFRESH_MS:
            self._start_counting()

    def _must_count(self, more: Usage) -> bool:
        if self._usage is None:
            return True
        quota = self._exceeded(more)
        if quota is None:
            return False
        age_ms = self._clock.now_ms() - self._counted_ms
        return self._doubt[quota] > 0 or not 0 <= age_ms < RECOUNT_MS

    def _start_counting(self) -> asyncio.Task[None]:
        if self._counting is None:
            self._counting = asyncio.create_task(self._count())
            self._counting.add_done_callback(_seen)
        return self._counting

    async def _count(self) -> None:
        """Count; in doubt is what was on its way meanwhile: it may be included or not."""
        used, reserved = self._used, self._reserved
        self._counted_ms = self._clock.now_ms()
        try:
            usage = await self._storage.quotas.usage(self._project, now_ms=self._counted_ms)
        finally:
            self._counting = None
        self._usage = usage
        self._used = _difference(self._used, used)
        self._doubt = _sum(reserved, _sum(self._used, self._reserved))

    def _start_reading(self) -> asyncio.Task[None]:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(_seen)
        return self._reading

    async def _read(self) -> None:
        this = asyncio.current_task()
        self.read_ms = self._clock.now_ms()
        try:
            stored = await self._storage.quotas.get(self._project)
        finally:
            is_outdated = self._reading is not this
            if not is_outdated:
                self._reading = None
        if not is_outdated:
            overrides = project_limits.decode(stored) if stored else {}
            self.limits = self._defaults._replace(**overrides)
            self.is_read, self.is_free = True, not any(self.limits)


def _seen(task: asyncio.Task[None]) -> None:
    """Take note of a failure: whoever needs the result meets it, in the background nobody."""
    if not task.cancelled():
        task.exception()


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(*(a + b for a, b in zip(one, other, strict=True)))


def _difference(one: Usage, other: Usage) -> Usage:
    return Usage(*(a - b for a, b in zip(one, other, strict=True)))
