"""A lane: threads that run what the event loop hands them, as many at a time as wait."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar

from queues.errors import StorageUnavailable

#: What waits beyond this goes into the next batch, so that no answer is held up for long.
BATCH = 256

C = TypeVar("C")
T = TypeVar("T")


class Call(Generic[C]):
    """One piece of work and the future of its answer."""

    __slots__ = ("deadline_s", "future", "result", "work")

    def __init__(
        self,
        work: Callable[[C], object],
        future: asyncio.Future[object],
        deadline_s: float,
    ) -> None:
        self.work = work
        self.future = future
        self.deadline_s = deadline_s
        self.result: object = None


class Runner(Protocol[C]):
    """What a thread of a lane does; every method runs in that thread."""

    def run(self, calls: Sequence[Call[C]]) -> None:
        """Set the `result` of every call: its answer, or the exception to raise."""

    def close(self) -> None:
        """Free what `run` uses."""


class Lane(Generic[C]):
    """Hands work to threads, one runner each, and bounds the wait for the answer.

    Answers return to the event loop once a batch, so a busy lane costs the loop little.
    """

    def __init__(self, name: str, runners: Iterable[Runner[C]], *, timeout_ms: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_ms / 1000
        self._waiting: SimpleQueue[Call[C] | None] = SimpleQueue()
        self._new: list[Call[C]] = []
        self._pending: dict[Call[C], None] = {}
        self._watchdog: asyncio.TimerHandle | None = None
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(runner,), name=name, daemon=True)
            for runner in runners
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[C], T]) -> T:
        """Run `work` in a thread of the lane and return its answer.

        Raises: what `work` raises; StorageUnavailable when there is no answer in time. Work
        that has not begun by then is dropped, also when the caller is cancelled.
        """
        if self._closed:
            raise StorageUnavailable("SQLite: the storage is closed")
        call = Call(work, self._loop.create_future(), self._loop.time() + self._timeout_s)
        self._pending[call] = None
        if self._watchdog is None:
            self._watchdog = self._loop.call_at(call.deadline_s, self._watch)
        if not self._new:
            self._loop.call_soon(self._hand_over)
        self._new.append(call)
        return await call.future  # type: ignore[return-value]

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Bound the time of several runs together, as that of one is bounded.

        Raises: StorageUnavailable when they take longer.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError as ex:
            raise StorageUnavailable("SQLite: no answer in time") from ex

    async def close(self) -> None:
        """Let everything that waits run, then end the threads, each within the timeout."""
        if self._closed:
            return
        self._closed = True
        self._hand_over()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join, self._timeout_s)
        await asyncio.sleep(0)  # NOTE: the last answers are callbacks that are due now.
        if self._watchdog is not None:
            self._watchdog.cancel()

    def _hand_over(self) -> None:
        """Give the threads what has gathered in this turn of the event loop.

        PERF: together, or the first call wakes a thread that takes it alone, and interrupts
        the loop (bench: switches).
        """
        calls, self._new = self._new, []
        for call in calls:
            self._waiting.put(call)

    def _watch(self) -> None:
        """Fail what is overdue; a thread may hang in the file system and never answer."""
        self._watchdog = None
        now_s = self._loop.time()
        for call in list(self._pending):
            if call.deadline_s > now_s:
                self._watchdog = self._loop.call_at(call.deadline_s, self._watch)
                break
            del self._pending[call]
            if not call.future.done():
                call.future.set_exception(StorageUnavailable("SQLite: no answer in time"))

    def _serve(self, runner: Runner[C]) -> None:
        _let_others_finish()
        while calls := self._take():
            runner.run(calls)
            self._loop.call_soon_threadsafe(self._answer, calls)
            # NOTE: or what was read stays in memory until this thread has something new to do.
            del calls
        runner.close()

    def _take(self) -> Sequence[Call[C]]:
        """Wait for work and return all that waits, or nothing when the lane is closed."""
        calls: list[Call[C]] = []
        call = self._waiting.get()
        try:
            while call is not None:
                if not call.future.done():
                    calls.append(call)
                if len(calls) == BATCH:
                    return calls
                call = self._waiting.get_nowait() if calls else self._waiting.get()
        except Empty:
            return calls
        if calls:
            self._waiting.put(None)
        return calls

    def _answer(self, calls: Sequence[Call[C]]) -> None:
        for call in calls:
            self._pending.pop(call, None)
            if call.future.done():
                continue
            if isinstance(call.result, BaseException):
                call.future.set_exception(call.result)
            else:
                call.future.set_result(call.result)


def _let_others_finish() -> None:
    """Tell the kernel that this thread need not interrupt another one when it has work.

    PERF: on one core it would stop the event loop in the middle of a turn, which waits for it
    again at the next call: smaller batches, more switches (bench: a ninth of a post).

    NOTE: only a wish, which Linux alone knows, and which a container may forbid.
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
