"""Hints between all processes on one file: a datagram each, and numbers to miss them by."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from queues.errors import StorageUnavailable
from queues.model import Topic
from queues.wakeups import Heard
from queues.wakeups import Wakeups as WakeupsContract
from storage_drivers.sqlite.bulletin import Bulletin
from storage_drivers.sqlite.datagram import digest
from storage_drivers.sqlite.ear import Ear
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.transaction import Transaction
from storage_drivers.sqlite.voice import Voice

#: So long after a look at the numbers comes the next, or twice as long after a miss.
LOOK_S = 0.5

#: An ear stays open for so many looks after the last topic was forgotten.
LINGER_LOOKS = 120


class Wakeups(WakeupsContract):
    """The contract's view on wake-ups. The writer speaks of commits with `voice`."""

    def __init__(self, database: Path) -> None:
        self._loop = asyncio.get_running_loop()
        bulletin = Bulletin(database)
        self._ear = Ear(database, bulletin, self._hear)
        self.voice = Voice(database, bulletin, self._ear)
        self._writer: Lane[Transaction]
        self._heard: Heard | None = None
        self._is_closed = False
        self._watched: dict[bytes, Topic] = {}
        self._opening: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._untold: set[Topic] = set()
        self._telling: asyncio.Task[None] | None = None

    def begin(self, writer: Lane[Transaction]) -> None:
        """Use this lane, in which whoever runs has the turn."""
        self._writer = writer

    def listen(self, heard: Heard) -> None:
        """See the contract."""
        self._heard = heard

    async def watch(self, topic: Topic) -> None:
        """See the contract."""
        self._watched[digest(topic)] = topic
        if self._looking is None and not self._is_closed:
            self._looking = self._loop.create_task(self._look())
        if not self._ear.is_open:
            await self._open()

    async def forget(self, topic: Topic) -> None:
        """See the contract."""
        self._watched.pop(digest(topic), None)

    def tell(self, topic: Topic) -> None:
        """See the contract."""
        if self._is_closed:
            return
        self._loop.call_soon(self._hear, (digest(topic),))
        self._untold.add(topic)
        if self._telling is None:
            self._telling = self._loop.create_task(self._tell_others())

    async def close(self) -> None:
        """Send what is still to be told, and hear nothing more."""
        self._is_closed = True
        self._watched.clear()
        if self._telling is not None:
            await asyncio.wait([self._telling], timeout=LOOK_S)
        for task in (self._telling, self._looking, self._opening):
            if task is not None:
                task.cancel()
        self._ear.close()

    def _hear(self, topics: Sequence[bytes]) -> None:
        for packed in topics:
            topic = self._watched.get(packed)
            if topic is not None and self._heard is not None:
                self._heard(topic)

    async def _open(self) -> None:
        """Open the ear, if the store is there; once for all who wait for it."""
        if self._opening is None:
            self._opening = self._loop.create_task(self._open_ear())
        await asyncio.shield(self._opening)

    async def _open_ear(self) -> None:
        with suppress(StorageUnavailable):
            await self._writer.run(lambda _: self._ear.open())
        self._opening = None

    async def _look(self) -> None:
        """Look again and again whether something was missed, while anything is watched."""
        idle, pause_s = 0, LOOK_S
        while self._watched or idle < LINGER_LOOKS:
            await asyncio.sleep(pause_s)
            idle = 0 if self._watched else idle + 1
            has_missed = await self._look_once()
            if has_missed and self._watched and self._heard is not None:
                self._heard(None)
            pause_s = 2 * LOOK_S if has_missed else LOOK_S
        self._looking = None
        self._ear.close()

    async def _look_once(self) -> bool:
        """Say whether something may have been missed since the last look."""
        if self._ear.is_open:
            with suppress(OSError):
                if self._ear.is_in_place():
                    return self._ear.has_missed()
            self._ear.close()
        await self._open()
        return self._ear.is_open

    async def _tell_others(self) -> None:
        while self._untold:
            told, self._untold = self._untold, set()
            try:
                await self._pass_on(told)
            except StorageUnavailable:
                self._untold |= told
                await asyncio.sleep(LOOK_S)
        self._telling = None

    async def _pass_on(self, topics: Collection[Topic]) -> None:
        await self._writer.run(lambda _: self.voice.pass_on(topics))
