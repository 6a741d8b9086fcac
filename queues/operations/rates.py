"""Rates of projects: token buckets that all server processes share through the store."""

from __future__ import annotations

import asyncio
import math

from queues.clock import Clock
from queues.errors import RateExceeded
from queues.model import Rate
from queues.storage import Storage

#: A process takes tokens for so long at once, so few requests have to ask the store; and
#: while a bucket is empty, it asks no more often than this.
_AHEAD_S = 0.1

#: A bucket holds what its rate gives in this time, so short bursts pass.
_BURST_S = 1.0

#: However low the rate, the store is asked again after this.
_MAX_PAUSE_MS = 1000


class Bucket:
    """One bucket of one project, as one process knows it.

    Every token comes from the store, so all processes together admit what the rate gives and
    a burst; besides, each may have tokens left that it took ahead, for `_AHEAD_S` as a rule,
    and a debt of one large post. At most one call to the store is on its way, and all who
    wait share its outcome, also its failure.
    """

    def __init__(self, storage: Storage, clock: Clock, project: str, name: str) -> None:
        """Share the bucket `name` of `project` through `storage`."""
        self._storage = storage
        self._clock = clock
        self._project = project
        self._name = name
        self._per_s = 0.0
        self._burst = 0
        self._tokens = 0
        self._asked_ms = 0
        self._closed_until_ms = 0
        self._asking: asyncio.Task[None] | None = None

    async def take(self, tokens: int, per_s: float) -> None:
        """Take tokens; more than the bucket holds leave a debt, to be waited for.

        Raises: RateExceeded with the time after which to try again, StorageUnavailable.
        """
        if per_s != self._per_s:
            self._change(per_s)
        needed = min(tokens, self._burst)
        while self._tokens < needed:
            self._check_open(needed)
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask(needed))
                self._asking.add_done_callback(_seen)
            # NOTE: shielded, as others wait for the same answer.
            await asyncio.shield(self._asking)
        self._tokens -= tokens

    def _change(self, per_s: float) -> None:
        """Go on at another rate, and keep no more than that gives."""
        self._per_s = per_s
        self._burst = max(1, int(per_s * _BURST_S))
        self._tokens = min(self._tokens, self._burst)
        self._closed_until_ms = 0

    def _check_open(self, needed: int) -> None:
        """Refuse while the bucket is known to be empty. PERF: nobody asks the store then."""
        closed_ms = self._closed_until_ms - self._clock.now_ms()
        # NOTE: longer than any pause means that the clock stepped back.
        if not 0 < closed_ms <= _MAX_PAUSE_MS:
            return
        wait_s = (needed - self._tokens) / self._per_s
        raise RateExceeded(
            f"The project exceeds its rate of {self._per_s:g} {self._name} per second.",
            retry_after_s=max(wait_s, closed_ms / 1000),
        )

    async def _ask(self, needed: int) -> None:
        now_ms, per_s = self._clock.now_ms(), self._per_s
        wanted = math.ceil(max(needed - self._tokens, per_s * _AHEAD_S))
        try:
            taken = await self._storage.quotas.take(
                self._project,
                self._name,
                tokens=wanted,
                rate=Rate(per_s, self._held(wanted, now_ms)),
                now_ms=now_ms,
            )
        finally:
            self._asking = None
        self._tokens += taken
        self._asked_ms = now_ms
        if taken < wanted:
            pause_ms = math.ceil(max(_AHEAD_S, 1 / per_s) * 1000)
            self._closed_until_ms = now_ms + min(pause_ms, _MAX_PAUSE_MS)

    def _held(self, wanted: int, now_ms: int) -> int:
        """Return how many tokens the bucket may hold.

        A debt is paid by all of the time that has passed, also by that in which the bucket
        would have been full: nobody has to come and ask while it is being paid.
        """
        if self._tokens >= 0:
            return self._burst
        passed_s = max(0, now_ms - self._asked_ms) / 1000
        return max(self._burst, min(wanted, self._burst + int(passed_s * self._per_s)))


def _seen(task: asyncio.Task[None]) -> None:
    """Take note of a failure that nobody may be left to meet."""
    if not task.cancelled():
        task.exception()
