"""Waking those who wait for a message when its delay or its lease ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from queues.clock import Clock
from queues.errors import StorageUnavailable

_log = logging.getLogger("nusku.waiting")

#: The store is not asked more often about one queue.
PAUSE_S = 0.02

#: What was due when it rang, and still is said to be, is asked for again after this.
STALE_S = 1.0


class Alarm:
    """Rings when the next message of a queue becomes due.

    Nothing tells when a delay or a lease ends. But whatever begins one either sends a hint,
    or takes a message that was ready: then whoever waits has looked before or will look
    after. So it is enough to ask the store after each look, for what became due since it
    began.
    """

    def __init__(
        self,
        next_due: Callable[[int], Awaitable[int | None]],
        clock: Clock,
        ring: Callable[[], None],
    ) -> None:
        """Be silent until `set_anew`; `next_due` is asked with the time in ms."""
        self._next_due = next_due
        self._clock = clock
        self._ring = ring
        self._since_ms: int | None = None
        self._is_stopped = False
        self._asking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rung_ms = 0

    def set_anew(self, since_ms: int) -> None:
        """Ask the store, at once or soon, what becomes due after `since_ms`."""
        self._since_ms = min(since_ms, self._since_ms or since_ms)
        if self._asking is None and not self._is_stopped:
            self._asking = asyncio.create_task(self._ask())

    def stop(self) -> None:
        """Be silent for good."""
        self._is_stopped = True
        if self._asking is not None:
            self._asking.cancel()
        self._disarm()

    async def _ask(self) -> None:
        while self._since_ms is not None:
            since_ms, self._since_ms, pause_s = self._since_ms, None, PAUSE_S
            try:
                self._arm(await self._next_due(since_ms))
            except StorageUnavailable as ex:
                _log.warning("asking what becomes due failed: %s", ex)
                self._since_ms, pause_s = since_ms, STALE_S
            await asyncio.sleep(pause_s)
        self._asking = None

    def _arm(self, due_ms: int | None) -> None:
        self._disarm()
        if due_ms is None:
            return
        after_s = max(0, due_ms - self._clock.now_ms()) / 1000
        if due_ms <= self._rung_ms:
            after_s = STALE_S
        self._timer = asyncio.get_running_loop().call_later(after_s, self._go_off)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_off(self) -> None:
        self._timer = None
        self._rung_ms = self._clock.now_ms()
        self._ring()
