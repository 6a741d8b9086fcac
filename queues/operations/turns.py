"""One process' turn at a lane: the record under its lease, and writing where the lane is."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from queues import lanes
from queues.clock import Clock
from queues.errors import StorageUnavailable
from queues.lanes import Lane
from queues.model import Record, RecordKind, Taken
from queues.operations.agenda import LEASE_MS
from queues.operations.delivery_book import Source
from queues.operations.lanes import Lanes
from queues.plans import Next
from queues.storage import Storage

#: A lane that always has something to do lets others have its place after this.
TURN_MS = 10_000

#: So many attempts of a round, at first one and twice as many after each round that went well.
WINDOW = 8


class LaneLost(Exception):
    """Somebody else has the lane by now, or it was closed or opened again."""


class Turn:
    """The right to work on a lane, as long as its lease is renewed.

    Whoever rings and whoever changes the expiry of the lane leaves its lease as it is: so
    another version under the same lease is still ours.
    """

    def __init__(self, storage: Storage, clock: Clock, taken: Taken) -> None:
        """Work on what was `taken` just now."""
        self._storage = storage
        self._clock = clock
        self._record = taken.record
        self._end_ms = clock.now_ms() + TURN_MS
        self.lane = lanes.read(taken.record)._replace(rung=False, waits_until_ms=0)
        self.source = Source(taken.project, taken.record.scope)
        self.subscription_id = taken.record.key
        self.window = 1
        #: What was read and is not passed yet, and what was written of it.
        self.ahead: Sequence[Next] = ()
        self.known: Mapping[str, Record] = {}

    @property
    def is_over(self) -> bool:
        """Whether others should have a turn."""
        return self._clock.now_ms() >= self._end_ms

    def open_up(self, *, went_well: bool) -> None:
        """Let the next round make twice as many attempts, or one if this one failed."""
        self.window = min(2 * self.window, WINDOW) if went_well else 1

    async def go_on(self, lane: Lane) -> None:
        """Write where the lane is, and renew the lease.

        Raises: LaneLost.
        """
        # NOTE: a ring from before is answered by looking again, which is what comes next.
        while not await self._write(lane, self._clock.now_ms() + LEASE_MS):
            pass

    async def rest(self, lane: Lane, due_ms: int | None) -> bool:
        """Write where the lane is, and end the turn; False if somebody rang meanwhile.

        Raises: LaneLost.
        """
        while not await self._write(lane, due_ms):
            if lanes.read(self._record).rung:
                self.lane = lane._replace(waits_until_ms=0)
                return False
        return True

    async def leave(self) -> None:
        """Let others have the lane at once, as it was written last."""
        # NOTE: without a store the lease runs out.
        with contextlib.suppress(LaneLost, StorageUnavailable):
            while not await self._write(self.lane, self._clock.now_ms()):
                pass

    async def close(self, lane_book: Lanes) -> None:
        """Remove the lane, unless somebody has opened it again."""
        await lane_book.close(self.source.project, self._record)

    async def _write(self, lane: Lane, due_ms: int | None) -> bool:
        """Say whether it was written; if not, the record is the newest one now."""
        project, now_ms = self.source.project, self._clock.now_ms()
        written = self._record._replace(document=lane.document(), due_ms=due_ms)
        if await self._storage.records.replace(project, written, now_ms=now_ms):
            self._record = written._replace(version=written.version + 1)
            self.lane = lane
            return True
        found = await self._storage.records.get(
            project,
            RecordKind.LANE,
            self.source.queue,
            self.subscription_id,
            now_ms=now_ms,
        )
        if found is None or found.due_ms != self._record.due_ms:
            raise LaneLost
        self._record = found
        return False
