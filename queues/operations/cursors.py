"""What may happen with cursors: the places of readers in a queue, kept in the store.

A reader sees every message of the queue in its order, claimed or not, and acknowledges how
far it has got. Nothing is skipped in silence: a delay that is running holds the reader
before its message, and what was gone before it was read is reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from queues import cursors, ids
from queues.clock import Clock
from queues.cursors import Cursor
from queues.errors import (
    CursorNotFound,
    InvalidRequest,
    MessageNotFound,
    QueueNotFound,
    StorageUnavailable,
)
from queues.limits import Limits, check_count, check_queue_name
from queues.model import Position, Queue, Record, RecordKind, Topic, TopicKind
from queues.operations import readings
from queues.operations.polls import AT_ONCE, Patience
from queues.operations.readings import Reading
from queues.operations.waiting import WaitingRoom
from queues.storage import Storage

OLDEST, NEWEST = "oldest", "newest"

_KIND = RecordKind.CURSOR
_ATTEMPTS = 20
_BATCH = 100


class CursorView(NamedTuple):
    """A cursor as it is shown. `lag` counts the messages behind its position."""

    name: str
    position: str
    lag: int
    created_ms: int


class CursorPage(NamedTuple):
    """One page of a listing, and the name to continue from, if there may be more."""

    cursors: Sequence[CursorView]
    marker: str | None


class CursorOperations:
    """Create, show, list, read, acknowledge and delete cursors."""

    def __init__(
        self, storage: Storage, limits: Limits, clock: Clock, room: WaitingRoom
    ) -> None:
        """Keep cursors in `storage`; readers wait in `room`."""
        self._storage = storage
        self._limits = limits
        self._clock = clock
        self._room = room

    async def create(self, project: str, queue: str, name: str, *, start: str) -> bool:
        """Create a cursor, or find it as it is; say whether it was created.

        `start` is `OLDEST`, `NEWEST`, or the id of the message that it begins behind.

        Raises: InvalidRequest, QueueNotFound, MessageNotFound.
        """
        check_queue_name("The name of the cursor", name)
        stored = await self._storage.queues.get(project, queue)
        if stored is None:
            raise QueueNotFound(f"Queue {queue} does not exist.")
        for _ in range(_ATTEMPTS):
            record = await self._record(project, queue, name)
            if record is not None and _is_of(record, stored):
                return False
            if await self._put(project, stored, name, start, record):
                return True
        raise _overtaken()

    async def get(self, project: str, queue: str, name: str) -> CursorView:
        """Return where the cursor stands.

        Raises: CursorNotFound.
        """
        record, tail = await asyncio.gather(
            self._found(project, queue, name), self._storage.messages.tail(project, queue)
        )
        return _view(record, tail, ids.queue_tag(project, queue))

    async def list(self, project: str, queue: str, *, marker: str, limit: int) -> CursorPage:
        """Return a page of cursors by name. It may be short and still have a marker.

        Raises: InvalidRequest for a limit out of range.
        """
        check_count("limit", limit, self._limits.max_queues_per_page)
        stored, tail, records = await asyncio.gather(
            self._storage.queues.get(project, queue),
            self._storage.messages.tail(project, queue),
            self._storage.records.list(
                project,
                _KIND,
                queue,
                prefix="",
                marker=marker,
                limit=limit,
                now_ms=self._clock.now_ms(),
            ),
        )
        tag = ids.queue_tag(project, queue)
        shown = [_view(each, tail, tag) for each in records if stored and _is_of(each, stored)]
        return CursorPage(shown, records[-1].key if len(records) == limit else None)

    async def delete(self, project: str, queue: str, name: str) -> None:
        """Delete the cursor. An unknown one is no error."""
        await self._storage.records.delete(
            project, _KIND, queue, name, version=None, now_ms=self._clock.now_ms()
        )

    async def acknowledge(self, project: str, queue: str, name: str, position: str) -> None:
        """Note that the reader is done with everything up to `position`.

        One that lies before what was acknowledged already changes nothing.

        Raises: CursorNotFound; InvalidRequest for what is no position of this queue.
        """
        for _ in range(_ATTEMPTS):
            record, tail = await asyncio.gather(
                self._found(project, queue, name), self._storage.messages.tail(project, queue)
            )
            place = _parsed("position", position, ids.queue_tag(project, queue))
            if place.seq > tail.seq or place.number > tail.number:
                raise InvalidRequest("position lies behind the last message of the queue.")
            cursor = cursors.decode(record.document)
            if place.seq <= cursor.place.seq:
                return
            moved = record._replace(document=cursors.encode(replace(cursor, place=place)))
            now_ms = self._clock.now_ms()
            if await self._storage.records.replace(project, moved, now_ms=now_ms):
                return
        raise _overtaken()

    async def read(
        self,
        project: str,
        queue: str,
        name: str,
        patience: Patience = AT_ONCE,
        *,
        after: str | None,
        limit: int,
    ) -> Reading:
        """Return up to `limit` messages behind what was acknowledged, or behind `after`.

        Does not move the cursor. Ends before a message whose delay is running, and before a
        gap. Waits while there is nothing, as far as `patience` goes.

        Raises: CursorNotFound; CursorTooOld when messages are gone right behind the position;
        InvalidRequest.
        """
        check_count("limit", limit, self._limits.max_messages_per_page)
        start = await self.start(project, queue, name, after=after)

        async def attempt() -> Reading | None:
            now_ms = self._clock.now_ms()
            return await readings.read(
                self._storage, project, queue, start, limit=limit, now_ms=now_ms
            )

        topic = Topic(project, TopicKind.QUEUE, queue)
        found = await self._room.wait(topic, attempt, wait_s=patience.wait_s)
        tag = ids.queue_tag(project, queue)
        return found or Reading((), start, tag, self._clock.now_ms())

    async def start(
        self, project: str, queue: str, name: str, *, after: str | None
    ) -> Position:
        """Return where a reader begins: behind what was acknowledged, or behind `after`.

        Raises: CursorNotFound, InvalidRequest.
        """
        record = await self._found(project, queue, name)
        if after is None:
            return cursors.decode(record.document).place
        return _parsed("after", after, ids.queue_tag(project, queue))

    async def _put(
        self, project: str, queue: Queue, name: str, start: str, stale: Record | None
    ) -> bool:
        """Store a new cursor, if need be in place of one of a queue that is gone."""
        now_ms = self._clock.now_ms()
        place = await self._place(project, queue.name, start, now_ms)
        document = cursors.encode(Cursor(place, now_ms, queue.created_ms))
        if stale is not None:
            record = stale._replace(document=document)
            return await self._storage.records.replace(project, record, now_ms=now_ms)
        record = Record(_KIND, queue.name, name, document, ids.new_version())
        return await self._storage.records.create(project, record, now_ms=now_ms)

    async def _place(self, project: str, queue: str, start: str, now_ms: int) -> Position:
        # NOTE: first the end, then the beginning: what is posted in between is behind both.
        tail = await self._storage.messages.tail(project, queue)
        if start == NEWEST:
            return tail
        if start == OLDEST:
            return await self._beginning(project, queue, now_ms) or tail
        seq = ids.parse_message_id(start, ids.queue_tag(project, queue))
        seqs = [] if seq is None else [seq]
        found = await self._storage.messages.get(project, queue, seqs, now_ms=now_ms)
        if not found:
            raise MessageNotFound(f"Message {start} does not exist in queue {queue}.")
        return readings.place_of(found[0])

    async def _beginning(self, project: str, queue: str, now_ms: int) -> Position | None:
        found = await readings.behind(
            self._storage, project, queue, Position(0, 0), limit=1, now_ms=now_ms
        )
        if found is None:
            raise StorageUnavailable(
                "what has expired in the queue is still being cleared away"
            )
        return readings.place_before(found[0]) if found else None

    async def _found(self, project: str, queue: str, name: str) -> Record:
        record, stored = await asyncio.gather(
            self._record(project, queue, name), self._storage.queues.get(project, queue)
        )
        if record is None or stored is None or not _is_of(record, stored):
            raise CursorNotFound(f"Queue {queue} has no cursor {name}.")
        return record

    async def _record(self, project: str, queue: str, name: str) -> Record | None:
        return await self._storage.records.get(
            project, _KIND, queue, name, now_ms=self._clock.now_ms()
        )


async def forget_cursors(storage: Storage, project: str, queue: str, *, now_ms: int) -> None:
    """Delete all cursors of a queue that is to be deleted."""
    marker = ""
    while found := await storage.records.list(
        project, _KIND, queue, prefix="", marker=marker, limit=_BATCH, now_ms=now_ms
    ):
        for record in found:
            await storage.records.delete(
                project, _KIND, queue, record.key, version=None, now_ms=now_ms
            )
        marker = found[-1].key


def _is_of(record: Record, queue: Queue) -> bool:
    """Say whether the cursor belongs to this queue, not to one that had its name before."""
    return cursors.decode(record.document).queue_ms == queue.created_ms


def _view(record: Record, tail: Position, tag: str) -> CursorView:
    cursor = cursors.decode(record.document)
    # The tail was looked at first, so the cursor may be behind it.
    lag = max(0, tail.number - cursor.place.number)
    return CursorView(record.key, ids.position(*cursor.place, tag), lag, cursor.created_ms)


def _parsed(field: str, text: str, tag: str) -> Position:
    found = ids.parse_position(text, tag)
    if found is None:
        raise InvalidRequest(f"{field} must be a position that was given for this queue.")
    return Position(*found)


def _overtaken() -> StorageUnavailable:
    return StorageUnavailable("others change the cursor or its queue faster than the request")
