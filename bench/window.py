"""The part of a run that counts: after the warm-up, for so long, or until nothing is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from bench.client import LoadFailed
from bench.latency import Latencies

M = TypeVar("M")


@dataclass
class Measured(Generic[M]):
    """What a window saw: operations ended in it, and what the meter showed at both ends."""

    operations: int
    seconds: float
    latencies: Latencies
    before: M
    after: M
    ran_dry: bool


class Window(Generic[M]):
    """Counts operations between two moments. `meter` is read at both."""

    def __init__(self, meter: Callable[[], M], *, warmup_s: float, duration_s: float) -> None:
        """Open after `warmup_s`, for `duration_s`. Needs a running event loop."""
        self.latencies = Latencies()
        self.begun_s = float("inf")
        self.ended_s = float("inf")
        self._meter = meter
        self._duration_s = duration_s
        self._operations = 0
        self._loop = asyncio.get_running_loop()
        self._measured: asyncio.Future[Measured[M]] = self._loop.create_future()
        self._timer = self._loop.call_later(warmup_s, self._open)

    def _open(self) -> None:
        self._before = self._meter()
        self._timer = self._loop.call_later(self._duration_s, self.close)
        self.begun_s = time.perf_counter()

    def close(self, *, ran_dry: bool = False) -> None:
        """End now. Without anything to count, the run has failed."""
        if self._measured.done():
            return
        self.ended_s = time.perf_counter()
        if self.begun_s > self.ended_s:
            self.fail(LoadFailed("the stock of messages did not last the warm-up"))
            return
        self._timer.cancel()
        self._measured.set_result(
            Measured(
                self._operations,
                self.ended_s - self.begun_s,
                self.latencies,
                self._before,
                self._meter(),
                ran_dry,
            )
        )

    def dry(self) -> None:
        """End because there is nothing left to work on."""
        self.close(ran_dry=True)

    def fail(self, ex: Exception) -> None:
        """End with an error."""
        if not self._measured.done():
            self._timer.cancel()
            self._measured.set_exception(ex)

    def add(self, since_s: float, now_s: float) -> None:
        """Count an operation that was to begin at `since_s` and ended at `now_s`.

        Its latency counts if it was to begin in the window, however long it took.
        """
        if self.begun_s <= now_s <= self.ended_s:
            self._operations += 1
        if self.begun_s <= since_s <= self.ended_s:
            self.latencies.add(now_s - since_s)

    @property
    def is_over(self) -> bool:
        """Say whether the measurement has ended."""
        return self._measured.done()

    async def measured(self) -> Measured[M]:
        """Wait for the end. Raises: what `fail` was called with."""
        return await self._measured
