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
import random

from queues.clock import Clock
from queues.errors import StorageUnavailable
from queues.model import RecordKind, Taken
from queues.operations.crew import Crew, Handler
from queues.storage import Storage

_log = logging.getLogger("nusku.agenda")

#: What its taker has not settled after this is taken again.
LEASE_MS = 30_000

#: So many records of one process are in the hands of handlers at the same time.
AT_WORK = 32

#: So many more are in the hands of handlers that wait for others, and of one project.
ERRANDS = 256
ERRANDS_OF_A_PROJECT = 64

#: Whoever is told to stop lets errands under way end for so long.
FAREWELL_S = 2.0

#: An errand that nobody is free for is put off by this, and up to twice as long.
PUT_OFF_MS = 1_000


class Agenda:
    """Takes records that are due, and has them handled, until it is closed."""

    def __init__(self, storage: Storage, clock: Clock, *, pause_s: float = 1.0) -> None:
        """Look into `storage` when rung, and every `pause_s` all the same."""
        self._storage = storage
        self._clock = clock
        self._pause_s = pause_s
        self._handlers: dict[RecordKind, Handler] = {}
        self._errands: set[RecordKind] = set()
        self._desk = Crew(storage, clock, size=AT_WORK, share=AT_WORK)
        self._desk.on_half_empty = self.ring
        self._couriers = Crew(storage, clock, size=ERRANDS, share=ERRANDS_OF_A_PROJECT)
        self._bell = asyncio.Event()
        self.is_closed = False

    def handle(self, kind: RecordKind, handler: Handler, *, errand: bool = False) -> None:
        """Call `handler` for due records of this kind. A record of no handler is left alone.

        A handler that fails is called again after the lease. It waits for nothing but the
        store, unless it is an `errand`: that may wait for others, extends its lease itself,
        looks whether the agenda `is_closed`, and takes nobody else's place, as each project
        has a share.
        """
        self._handlers[kind] = handler
        if errand:
            self._errands.add(kind)

    def ring(self) -> None:
        """Look now: something may have become due in this process."""
        self._bell.set()

    def close(self) -> None:
        """Take nothing more; `run` gives back what is not finished soon, and ends."""
        self.is_closed = True
        self._bell.set()

    async def run(self) -> None:
        """Take and hand out, until closed. A store that is away is tried again.

        NOTE: not to be cancelled, as it may just have taken something.
        """
        while self._handlers and not self.is_closed:
            self._bell.clear()
            await self._take()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), self._pause_s)
        await asyncio.gather(self._desk.dismiss(0), self._couriers.dismiss(FAREWELL_S))

    async def _take(self) -> None:
        """Take as much as there is room for."""
        room = self._desk.room
        if not room:
            return
        try:
            found = await self._storage.records.take(
                limit=room, lease_ms=LEASE_MS, now_ms=self._clock.now_ms()
            )
        except StorageUnavailable as ex:
            _log.warning("nothing is taken now: %s", ex)
            return
        except Exception:  # (a defect must not end for ever what is done at its time)
            _log.exception("nothing is taken now")
            return
        for taken in found:
            self._hand_out(taken)
        if len(found) == room and self._desk.room:
            self.ring()

    def _hand_out(self, taken: Taken) -> None:
        kind = taken.record.kind
        handler = self._handlers.get(kind)
        if handler is None:
            return
        if kind not in self._errands:
            self._desk.begin(taken, handler)
        elif self._couriers.has_room_for(taken.project):
            self._couriers.begin(taken, handler)
        else:
            self._desk.begin(taken, self._put_off)

    async def _put_off(self, taken: Taken) -> None:
        delay_ms = round(PUT_OFF_MS * random.uniform(1, 2))  # noqa: S311 (no secret)
        await self._couriers.put_off(taken, delay_ms)
