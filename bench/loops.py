"""Two ways of sending: as fast as the answers come, and at a rate that nothing slows down."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from bench.latency import Latencies
from bench.session import Session
from bench.window import Measured, Window

#: The clocks of event loops tick in milliseconds, so a wait shorter than this is spun away.
_SPIN_S = 0.002

#: For so long operations may end after the window; then they count as they stand.
DRAIN_S = 5.0


async def closed_loop(sessions: Sequence[Session], window: Window[Any]) -> Measured[Any]:
    """Let each connection send its next request when it has the last answer.

    Throughput is what the server can do. Latency flatters: a server that stalls is asked
    less, so a stall counts once a connection and not for all who would have come.
    """

    def done(session: Session, since_s: float, now_s: float) -> None:
        window.add(since_s, now_s)
        if not window.is_over:
            session.begin(now_s)

    for session in sessions:
        session.done, session.dry = done, window.dry
        session.client.failed = window.fail
    for session in sessions:
        session.begin(time.perf_counter())
    return await window.measured()


def intended(begin_s: float, rate: float) -> Iterator[float]:
    """Return the moments at which operations are to begin: evenly, without drift, for ever."""
    return (begin_s + number / rate for number in itertools.count())


class OpenLoop:
    """Begins operations at a fixed rate, whether or not earlier ones have ended.

    Latency counts from the intended moment, also while all connections are busy: a stall
    counts for everyone who would have come meanwhile. `lag` is how late this program itself
    was with operations that had a free connection; when it is not small, it is the program
    that was measured.
    """

    def __init__(self, sessions: Sequence[Session], window: Window[Any], rate: float) -> None:
        """Be ready to send `rate` operations a second over the connections."""
        self.lag = Latencies()
        self.longest_line = 0
        self._window = window
        self._schedule = intended(time.perf_counter(), rate)
        self._next_s = next(self._schedule)
        self._line: deque[float] = deque()
        self._idle = deque(sessions)
        self._busy: dict[Session, float] = {}
        self._drained: asyncio.Future[None] | None = None
        for session in sessions:
            session.done, session.dry = self._done, window.dry
            session.client.failed = window.fail

    async def run(self) -> Measured[Any]:
        """Send until the window closes, then wait for what is under way, within bounds."""
        self._tick()
        measured = await self._window.measured()
        loop = asyncio.get_running_loop()
        self._drained = loop.create_future()
        loop.call_later(DRAIN_S, self._drained.cancel)
        if self._busy and not measured.ran_dry:
            await asyncio.wait([self._drained])
        now_s = time.perf_counter()
        for since_s in (*self._line, *self._busy.values()):
            self._window.add(since_s, now_s)
        return measured

    def _tick(self) -> None:
        """Put what is due in line, send what can be sent, and come again in time."""
        if self._window.is_over:
            return
        now_s = time.perf_counter()
        while self._next_s <= now_s:
            self._line.append(self._next_s)
            if self._idle:
                self._begin()
                self.lag.add(now_s - self._next_s)
            self._next_s = next(self._schedule)
        self.longest_line = max(self.longest_line, len(self._line))
        loop, wait_s = asyncio.get_running_loop(), self._next_s - now_s
        if wait_s > _SPIN_S:
            loop.call_later(wait_s - _SPIN_S, self._tick)
        else:
            loop.call_soon(self._tick)

    def _begin(self) -> None:
        session, since_s = self._idle.popleft(), self._line.popleft()
        self._busy[session] = since_s
        session.begin(since_s)

    def _done(self, session: Session, since_s: float, now_s: float) -> None:
        self._window.add(since_s, now_s)
        self._busy.pop(session, None)
        self._idle.append(session)
        if self._line:
            self._begin()
        elif self._drained is not None and not self._busy:
            self._drained.cancel()
