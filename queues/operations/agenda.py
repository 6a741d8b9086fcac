"""What has to happen at its time, whichever process is there to do it.

A record with a due time is an appointment. All processes look for due records, take some
under a lease and hand each to the handler of its kind. Whoever dies leaves a lease that runs
out, and somebody else takes the record again; whoever is told to stop gives back at once
what it has not finished. So a handler may be interrupted at any line, and may be called
again for what it has done already.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from queues.clock import Clock
from queues.errors import StorageUnavailable
from queues.model import RecordKind, Taken
from queues.storage import Storage

_log = logging.getLogger("nusku.agenda")

#: What its taker has not settled after this is taken again.
LEASE_MS = 30_000

#: So many records of one process are in the hands of handlers at the same time.
AT_WORK = 32

#: Settles its record: replaces it with another due time or none, or deletes it. Waits for
#: nothing but the store; who has longer to do starts a task and extends the lease.
Handler = Callable[[Taken], Awaitable[None]]


class Agenda:
    """Takes records that are due, and has them handled, until it is closed."""

    def __init__(self, storage: Storage, clock: Clock, *, pause_s: float = 1.0) -> None:
        """Look into `storage` when rung, and every `pause_s` all the same."""
        self._storage = storage
        self._clock = clock
        self._pause_s = pause_s
        self._handlers: dict[RecordKind, Handler] = {}
        self._at_work: dict[asyncio.Task[None], Taken] = {}
        self._bell = asyncio.Event()
        self._closed = False

    def handle(self, kind: RecordKind, handler: Handler) -> None:
        """Call `handler` for due records of this kind. A record of no handler is left alone.

        A handler that fails is called again after the lease.
        """
        self._handlers[kind] = handler

    def ring(self) -> None:
        """Look now: something may have become due in this process."""
        self._bell.set()

    def close(self) -> None:
        """Take nothing more; `run` gives back what is not finished, and ends."""
        self._closed = True
        self._bell.set()

    async def run(self) -> None:
        """Take and hand out, until closed. A store that is away is tried again.

        NOTE: not to be cancelled, as it may just have taken something.
        """
        while self._handlers and not self._closed:
            self._bell.clear()
            await self._take()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), self._pause_s)
        await self._interrupt()

    async def _take(self) -> None:
        """Take as much as there is room for."""
        room = AT_WORK - len(self._at_work)
        if not room:
            return
        try:
            found = await self._storage.records.take(
                limit=room, lease_ms=LEASE_MS, now_ms=self._clock.now_ms()
            )
        except StorageUnavailable as ex:
            _log.warning("nothing is taken now: %s", ex)
            return
        for taken in found:
            task = asyncio.create_task(self._work(taken))
            self._at_work[task] = taken
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._at_work.pop(task, None)
        # PERF: not for each one that leaves a full house, or each would be replaced alone.
        if len(self._at_work) == AT_WORK // 2:
            self._bell.set()

    async def _work(self, taken: Taken) -> None:
        kind, key = taken.record.kind, taken.record.key
        handler = self._handlers.get(kind)
        try:
            if handler is not None:
                await handler(taken)
        except StorageUnavailable as ex:
            _log.warning("%s %s is put off: %s", kind, key, ex)
        except Exception:  # (one record must not stop the others)
            _log.exception("%s %s failed", kind, key)

    async def _interrupt(self) -> None:
        """Stop what is going on, and make it due for the other processes."""
        unfinished = dict(self._at_work)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        await asyncio.gather(*map(self._give_back, unfinished.values()))

    async def _give_back(self, taken: Taken) -> None:
        now_ms = self._clock.now_ms()
        record = taken.record._replace(due_ms=now_ms)
        # NOTE: without a store the lease runs out; and what was settled has another version.
        with contextlib.suppress(StorageUnavailable):
            await self._storage.records.replace(taken.project, record, now_ms=now_ms)
