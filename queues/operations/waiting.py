"""Waiting until something happens, anywhere, without asking the store again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

from queues.clock import Clock
from queues.errors import NuskuError, StorageUnavailable
from queues.model import Topic, TopicKind
from queues.operations.alarm import Alarm
from queues.operations.places import Place, Seat
from queues.storage import Storage

T = TypeVar("T")

#: A topic is watched for so long after the last one who waited for it: many come back at once.
LINGER_S = 5.0

#: After a hint about everything, so many topics are looked at in one go, with pauses.
_TOPICS_PER_VISIT = 50
_VISIT_PAUSE_S = 0.05

_log = logging.getLogger("nusku.waiting")


class Taking(NamedTuple, Generic[T]):
    """What is to be known of an attempt that takes something away.

    `undo` gives back what was taken for somebody who is gone. `leaves_more` says whether the
    next one should look, too: because all that was wanted was there, or, of None, because
    this attempt cannot find what others would.
    """

    undo: Callable[[T], Awaitable[None]]
    leaves_more: Callable[[T | None], bool]


class WaitingRoom:
    """Where the requests of one process wait.

    Whoever waits costs the store nothing: hints (`queues/wakeups.py`) and the times at which
    messages become due say when to look. Those who take something are woken one by one, in
    the order in which they came.
    """

    def __init__(self, storage: Storage, clock: Clock) -> None:
        """Listen to `storage` from the first wait on; it is open by then."""
        self._storage = storage
        self._clock = clock
        self._is_listening = False
        self._places: dict[Topic, Place] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unvisited: dict[Topic, None] = {}
        self._is_visiting = False
        self.is_closed = False
        self._closed = asyncio.Event()

    def close(self) -> None:
        """Let all who wait go at once, empty-handed; nobody waits from now on."""
        self.is_closed = True
        self._closed.set()
        for place in self._places.values():
            place.close()

    async def closed(self) -> None:
        """Wait until nobody waits here any more. For those who stay though they wait not."""
        await self._closed.wait()

    async def emptied(self) -> None:
        """Wait until all that was taken for those who left has been given back."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def wait(
        self,
        topic: Topic,
        attempt: Callable[[], Awaitable[T | None]],
        *,
        wait_s: float,
        taking: Taking[T] | None = None,
    ) -> T | None:
        """Return what `attempt` finds, now or later; None if nothing within `wait_s`.

        Attempts are made at once, after each hint about the topic, and, for a queue, when a
        message becomes due. Attempts that take something away say so by `taking`.

        Can be cancelled at any time. An attempt that is running then is finished, and what it
        took is given back. A failing attempt ends the wait with its error.
        """
        may_wait = wait_s > 0 and not self.is_closed
        if topic not in self._places or not may_wait:
            found = await self._look(attempt, taking)
            if found is not None or not may_wait:
                return found
        until_s = asyncio.get_running_loop().time() + wait_s
        async with self._seated(topic, takes=taking is not None) as (place, seat):
            return await self._wait(place, seat, attempt, until_s, taking)

    @asynccontextmanager
    async def watching(self, topic: Topic) -> AsyncIterator[Bell]:
        """Hear of all that happens to a topic while the context lasts.

        For those who go on reading: whatever happens after this was entered rings the bell.
        """
        async with self._seated(topic, takes=False) as (place, seat):
            yield Bell(self, self._clock, place, seat)

    def give_back(self, found: T, taking: Taking[T]) -> None:
        """Undo in the background what was taken for somebody who is gone."""
        self._begin(_undone(found, taking))

    # -- one who waits ---------------------------------------------------------------------

    async def _wait(
        self,
        place: Place,
        seat: Seat,
        attempt: Callable[[], Awaitable[T | None]],
        until_s: float,
        taking: Taking[T] | None,
    ) -> T | None:
        while True:
            seat.rung, since_ms = False, self._clock.now_ms()
            try:
                found = await self._look(attempt, taking)
            except BaseException:
                # Whatever this one was to find, another one must look for.
                seat.rung = True
                raise
            place.look_ahead(since_ms)
            if found is not None:
                seat.rung |= taking is not None and taking.leaves_more(found)
                return found
            if self.is_closed:
                return None
            if taking is not None:
                place.found_nothing()
                if taking.leaves_more(None):
                    place.call_taker(after=seat)
            if not await seat.rest(until_s):
                return None

    async def _look(
        self, attempt: Callable[[], Awaitable[T | None]], taking: Taking[T] | None
    ) -> T | None:
        if taking is None:
            return await attempt()
        running = asyncio.ensure_future(attempt())
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self._begin(_finished_and_undone(running, taking))
            raise

    # -- places ----------------------------------------------------------------------------

    @asynccontextmanager
    async def _seated(self, topic: Topic, *, takes: bool) -> AsyncIterator[tuple[Place, Seat]]:
        place = self._places.get(topic) or self._opened(topic)
        seat = place.sit(takes=takes)
        try:
            await asyncio.shield(place.watched)
            yield place, seat
        finally:
            place.leave(seat)
            if place.is_empty and not self.is_closed:
                loop = asyncio.get_running_loop()
                place.closing = loop.call_later(LINGER_S, self._abandon, topic)

    def _opened(self, topic: Topic) -> Place:
        if not self._is_listening:
            self._is_listening = True
            self._storage.wakeups.listen(self._heard)
        watched = self._begin(self._storage.wakeups.watch(topic))
        place = self._places[topic] = Place(watched, self._alarm(topic))
        return place

    def _alarm(self, topic: Topic) -> Alarm | None:
        if topic.kind is not TopicKind.QUEUE:
            return None

        async def next_due(now_ms: int) -> int | None:
            messages = self._storage.messages
            return await messages.next_due(topic.project, topic.name, now_ms=now_ms)

        return Alarm(next_due, self._clock, lambda: self._heard(topic))

    def _abandon(self, topic: Topic) -> None:
        place = self._places.pop(topic)
        place.close()
        self._begin(self._forget(topic, place))

    async def _forget(self, topic: Topic, place: Place) -> None:
        await place.watched
        await self._storage.wakeups.forget(topic)
        if topic in self._places:
            # Somebody came meanwhile; what was missed for a moment is made up for.
            await self._storage.wakeups.watch(topic)
            self._heard(topic)

    # -- hints -----------------------------------------------------------------------------

    def _heard(self, topic: Topic | None) -> None:
        if topic is None:
            self._unvisited.update(dict.fromkeys(self._places))
            if not self._is_visiting:
                self._is_visiting = True
                self._begin(self._visit_all())
        elif (place := self._places.get(topic)) is not None:
            place.hint()

    async def _visit_all(self) -> None:
        """Give a hint about every topic; spread, so that a store that is back stays so."""
        while self._unvisited and not self.is_closed:
            for topic in list(islice(self._unvisited, _TOPICS_PER_VISIT)):
                del self._unvisited[topic]
                self._heard(topic)
            await asyncio.sleep(_VISIT_PAUSE_S)
        self._is_visiting = False

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something in the background; `emptied` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class Bell:
    """Rings whenever something happens to a topic."""

    def __init__(self, room: WaitingRoom, clock: Clock, place: Place, seat: Seat) -> None:
        """Belong to a seat in the room."""
        self._room = room
        self._clock = clock
        self._place = place
        self._seat = seat
        self._unlooked_ms: int | None = clock.now_ms()
        self._is_stopped = False

    def stop(self) -> None:
        """Let whoever listens go on at once, now and from now on."""
        self._is_stopped = True
        self._seat.dismiss()

    async def heard(self, wait_s: float) -> bool:
        """Wait until it rings, or has rung since the last time; say if within `wait_s`.

        False at once when it is stopped, or the room is closed. Once it rang, look at
        everything: several things may have happened.
        """
        if self._is_stopped or self._room.is_closed:
            return False
        if self._unlooked_ms is not None:
            self._place.look_ahead(self._unlooked_ms)
        rung = await self._seat.rest(asyncio.get_running_loop().time() + wait_s)
        self._seat.rung = False
        self._unlooked_ms = self._clock.now_ms() if rung else None
        return rung


async def _finished_and_undone(running: asyncio.Future[T | None], taking: Taking[T]) -> None:
    try:
        found = await running
    except NuskuError:
        return  # Nobody is there to be told.
    if found is not None:
        await _undone(found, taking)


async def _undone(found: T, taking: Taking[T]) -> None:
    try:
        await taking.undo(found)
    except StorageUnavailable as ex:
        _log.warning(
            "what was taken for a client that is gone stays until its lease ends: %s", ex
        )
