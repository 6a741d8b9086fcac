"""Tasks that work on taken records: so many at a time, and a share of them for a project."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from queues.clock import Clock
from queues.errors import StorageUnavailable
from queues.model import Taken
from queues.storage import Storage

_log = logging.getLogger("nusku.agenda")

#: Settles its record: replaces it with another due time or none, or deletes it.
Handler = Callable[[Taken], Awaitable[None]]


class Crew:
    """Has records handled at the same time, and gives back what it cannot finish."""

    def __init__(self, storage: Storage, clock: Clock, *, size: int, share: int) -> None:
        """Work on `size` records at a time, on `share` of one project."""
        self._storage = storage
        self._clock = clock
        self._size = size
        self._share = share
        self._at_work: dict[asyncio.Task[None], Taken] = {}
        self._projects: Counter[str] = Counter()
        self.on_half_empty: Callable[[], None] | None = None

    @property
    def room(self) -> int:
        """How many more records can be handled now."""
        return self._size - len(self._at_work)

    def has_room_for(self, project: str) -> bool:
        """Say whether one more record of the project can be handled now."""
        return self.room > 0 and self._projects[project] < self._share

    def begin(self, taken: Taken, handler: Handler) -> None:
        """Have the record handled; if that fails, it is taken again after the lease."""
        task = asyncio.create_task(_handle(taken, handler))
        self._at_work[task] = taken
        self._projects[taken.project] += 1
        task.add_done_callback(self._finished)

    async def dismiss(self, farewell_s: float) -> None:
        """Let what is going on end for so long, then stop it, and leave it to others."""
        if self._at_work and farewell_s:
            await asyncio.wait(self._at_work, timeout=farewell_s)
        unfinished = dict(self._at_work)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        await asyncio.gather(*(self.put_off(taken, 0) for taken in unfinished.values()))

    async def put_off(self, taken: Taken, delay_ms: int) -> None:
        """Let others have the record, or take it again, after the delay."""
        now_ms = self._clock.now_ms()
        record = taken.record._replace(due_ms=now_ms + delay_ms)
        # NOTE: without a store the lease runs out; and what was settled has another version.
        with contextlib.suppress(StorageUnavailable):
            await self._storage.records.replace(taken.project, record, now_ms=now_ms)

    def _finished(self, task: asyncio.Task[None]) -> None:
        project = self._at_work.pop(task).project
        self._projects[project] -= 1
        if not self._projects[project]:
            del self._projects[project]
        # PERF: not for each one that leaves a full house, or each would be replaced alone.
        if self.on_half_empty is not None and len(self._at_work) == self._size // 2:
            self.on_half_empty()


async def _handle(taken: Taken, handler: Handler) -> None:
    kind, key = taken.record.kind, taken.record.key
    try:
        await handler(taken)
    except StorageUnavailable as ex:
        _log.warning("%s %s is put off: %s", kind, key, ex)
    except Exception:  # (one record must not stop the others)
        _log.exception("%s %s failed", kind, key)
