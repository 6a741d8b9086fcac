"""Somebody who hears of topics, and waits for what he wants to hear in bounded time."""

from __future__ import annotations

import asyncio
import threading

from queues.model import Topic, TopicKind
from queues.storage import Storage

#: A hint is about a second late at the most; a busy machine makes it later.
LATEST_S = 10


def queue_topic(name: str, project: str = "alpha") -> Topic:
    return Topic(project, TopicKind.QUEUE, name)


def signal_topic(name: str, project: str = "alpha") -> Topic:
    return Topic(project, TopicKind.SIGNAL, name)


class Ear:
    """Listens to one instance of a storage. None is a hint about everything."""

    def __init__(self, storage: Storage) -> None:
        self.wakeups = storage.wakeups
        self.heard: list[Topic | None] = []
        self.threads: set[int] = set()
        self._noted = 0
        self._changed = asyncio.Event()
        self.wakeups.listen(self._hear)

    def _hear(self, topic: Topic | None) -> None:
        self.threads.add(threading.get_ident())
        self.heard.append(topic)
        self._changed.set()

    async def watch(self, *topics: Topic) -> None:
        await asyncio.gather(*map(self.wakeups.watch, topics))

    async def hint(self) -> list[Topic | None]:
        """Return what was heard since the last time, and wait until that is something."""
        async with asyncio.timeout(LATEST_S):
            while self._noted == len(self.heard):
                self._changed.clear()
                await self._changed.wait()
        new = self.heard[self._noted :]
        self._noted += len(new)
        return new

    async def hears(self, *topics: Topic) -> None:
        """Wait until each of the topics was heard since the last time."""
        missing = set(topics)
        while missing:
            new = await self.hint()
            missing = set() if None in new else missing.difference(new)
