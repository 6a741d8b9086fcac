"""Records and wake-ups in the plainest Python there is; see `reference.py`."""

from __future__ import annotations

from collections.abc import Sequence

from queues.model import Record, RecordKind, Taken, Topic
from queues.records import RecordStore
from queues.wakeups import Heard, Wakeups
from tests.conformance.world import Ear, Place, World


class ReferenceRecords(RecordStore):
    def __init__(self, world: World) -> None:
        self._world = world

    async def create(self, project: str, record: Record, *, now_ms: int) -> bool:
        place = Place(project, record.kind, record.scope, record.key)
        if self._world.record(place, now_ms):
            return False
        self._world.records[place] = record._replace(seal=False)
        return True

    async def get(
        self, project: str, kind: RecordKind, scope: str, key: str, *, now_ms: int
    ) -> Record | None:
        return self._world.record(Place(project, kind, scope, key), now_ms)

    async def replace(self, project: str, record: Record, *, now_ms: int) -> bool:
        place = Place(project, record.kind, record.scope, record.key)
        found = self._world.record(place, now_ms)
        if found is None or found.version != record.version:
            return False
        self._world.records[place] = record._replace(version=found.version + 1, seal=False)
        return True

    async def delete(
        self,
        project: str,
        kind: RecordKind,
        scope: str,
        key: str,
        *,
        version: int | None,
        now_ms: int,
    ) -> bool:
        place = Place(project, kind, scope, key)
        found = self._world.record(place, now_ms)
        if found is None or version not in (None, found.version):
            return False
        del self._world.records[place]
        return True

    async def list(
        self,
        project: str,
        kind: RecordKind,
        scope: str,
        *,
        prefix: str,
        marker: str,
        limit: int,
        now_ms: int,
    ) -> Sequence[Record]:
        places = [
            place
            for place in sorted(self._world.records)
            if place[:3] == (project, kind, scope)
            and place.key.startswith(prefix)
            and place.key > marker
        ]
        found = (self._world.record(place, now_ms) for place in places)
        return [record for record in found if record][:limit]

    async def take(self, *, limit: int, lease_ms: int, now_ms: int) -> Sequence[Taken]:
        due = [
            (record.due_ms, place)
            for place, record in self._world.records.items()
            if record.due_ms is not None
        ]
        taken: list[Taken] = []
        for _, place in sorted(due):
            if len(taken) == limit:
                break
            if record := self._world.take(place, lease_ms, now_ms):
                taken.append(Taken(place.project, record))
        return taken


class ReferenceWakeups(Wakeups):
    def __init__(self, world: World) -> None:
        self._world = world
        self._topics: set[Topic] = set()

    def listen(self, heard: Heard) -> None:
        self._world.ears.append(Ear(heard, self._topics))

    async def watch(self, topic: Topic) -> None:
        self._topics.add(topic)

    async def forget(self, topic: Topic) -> None:
        self._topics.discard(topic)

    def tell(self, topic: Topic) -> None:
        self._world.tell(topic)

    def close(self) -> None:
        """Hear nothing any more."""
        self._topics.clear()
