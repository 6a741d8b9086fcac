"""The lanes of subscriptions: opened with them, rung for what is posted, closed with them."""

from __future__ import annotations

from queues import ids, lanes
from queues.clock import Clock
from queues.errors import StorageUnavailable
from queues.lanes import Lane
from queues.model import Record, RecordKind
from queues.storage import Storage, outbox_key
from queues.subscriptions import Subscription

_ATTEMPTS = 20


class Lanes:
    """One record for each subscription, worked on by one process at a time."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        """Keep lanes in `storage`."""
        self._storage = storage
        self._clock = clock

    async def open(
        self, project: str, queue: str, subscription: Subscription, start: Lane
    ) -> None:
        """Begin, or begin again, behind `start`; look at once, as somebody may have rung."""
        fresh = Record(
            RecordKind.LANE,
            queue,
            subscription.id,
            start.document(),
            ids.new_version(),
            due_ms=self._clock.now_ms(),
            expires_ms=subscription.expires_ms,
        )
        for _ in range(_ATTEMPTS):
            now_ms = self._clock.now_ms()
            if await self._storage.records.create(project, fresh, now_ms=now_ms):
                return
            found = await self.find(project, queue, subscription.id)
            if found is None:
                continue
            again = fresh._replace(version=found.version)
            if await self._storage.records.replace(project, again, now_ms=now_ms):
                return
        raise _busy()

    async def at_the_end(self, project: str, queue: str) -> Lane:
        """Return a lane that has passed everything that was posted so far."""
        tail = await self._storage.messages.tail(project, queue)
        # NOTE: an absent queue begins above this if it comes back.
        seq = tail.seq or ids.first_sequence(self._clock.now_ms())
        return Lane(after=outbox_key(seq))

    async def keep(
        self, project: str, queue: str, subscription_id: str, *, expires_ms: int
    ) -> None:
        """Keep the lane until then at least, wherever it is."""
        for _ in range(_ATTEMPTS):
            found = await self.find(project, queue, subscription_id)
            if found is None or (found.expires_ms or expires_ms) >= expires_ms:
                return
            kept = found._replace(expires_ms=expires_ms)
            now_ms = self._clock.now_ms()
            if await self._storage.records.replace(project, kept, now_ms=now_ms):
                return
        raise _busy()

    async def ring(self, project: str, queue: str, subscription_id: str) -> None:
        """Let somebody look at what was posted; nothing needs to be said twice."""
        for _ in range(_ATTEMPTS):
            found, now_ms = (
                await self.find(project, queue, subscription_id),
                self._clock.now_ms(),
            )
            rung = found and lanes.rung(found, now_ms)
            if rung is None:
                return
            if await self._storage.records.replace(project, rung, now_ms=now_ms):
                return
        raise _busy()

    async def close(self, project: str, lane: Record) -> None:
        """Remove a lane, if it is still as it was found; whoever works on it notices.

        NOTE: whoever has opened it again meanwhile stores its subscription after that.
        """
        await self._storage.records.delete(
            project,
            RecordKind.LANE,
            lane.scope,
            lane.key,
            version=lane.version,
            now_ms=self._clock.now_ms(),
        )

    async def find(self, project: str, queue: str, subscription_id: str) -> Record | None:
        """Return the record of a lane."""
        return await self._storage.records.get(
            project, RecordKind.LANE, queue, subscription_id, now_ms=self._clock.now_ms()
        )


def _busy() -> StorageUnavailable:
    return StorageUnavailable("the lane changes faster than the request can follow")
