"""Receivers of notifications that answer as a test wants, and processes that write to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from queues.limits import Limits
from queues.operations import Operations
from queues.operations.courier import Parcel
from queues.operations.notifying import Notifying
from queues.retries import Outcome
from queues.storage import Storage
from tests.clock import MovableClock

OK = Outcome(200)
AWAY = Outcome(None, "nobody listens")


class Post:
    """The way out of all processes: notes every parcel, and answers by URL.

    `answers` has a function of the document for each URL; without one it is 200. `hold` lets
    parcels to a URL wait.
    """

    def __init__(self) -> None:
        self.sent: list[Parcel] = []
        self.answers: dict[str, Callable[[Any], Outcome]] = {}
        self.at_once = 0
        self.most_at_once = 0
        self._gates: dict[str, asyncio.Event] = {}
        self._sent = asyncio.Condition()

    async def send(self, parcel: Parcel) -> Outcome:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            async with self._sent:
                self.sent.append(parcel)
                self._sent.notify_all()
            gate = self._gates.get(parcel.to.url)
            if gate is not None:
                await gate.wait()
            answer = self.answers.get(parcel.to.url)
            return answer(json.loads(parcel.letter.body)) if answer else OK
        finally:
            self.at_once -= 1

    async def close(self) -> None:
        """Have nothing to close."""

    def hold(self, url: str) -> asyncio.Event:
        self._gates[url] = asyncio.Event()
        return self._gates[url]

    def answer(self, url: str, *outcomes: Outcome) -> None:
        """Answer parcels to the URL with these in turn, and with the last one from then on."""
        left = list(outcomes)
        self.answers[url] = lambda document: left.pop(0) if len(left) > 1 else left[0]

    def to(self, url: str) -> list[Parcel]:
        return [parcel for parcel in self.sent if parcel.to.url == url]

    def bodies(self, url: str) -> list[Any]:
        return [json.loads(parcel.letter.body)["body"] for parcel in self.to(url)]

    async def until(self, url: str, number: int) -> None:
        """Wait until so many parcels have been sent to the URL."""
        async with asyncio.timeout(10), self._sent:
            await self._sent.wait_for(lambda: len(self.to(url)) >= number)


def process(storage: Storage, clock: MovableClock, post: Post, **settings: Any) -> Operations:
    """Return the operations of a process that sends through `post`."""
    notifying = Notifying(outgoing=post, **settings)
    return Operations(storage, Limits(), clock, notifying=notifying)


@asynccontextmanager
async def working(*processes: Operations) -> AsyncIterator[None]:
    """Let the processes do what is due."""
    tasks = [asyncio.create_task(one.agenda.run()) for one in processes]
    yield
    for one in processes:
        one.agenda.close()
    async with asyncio.timeout(20):
        await asyncio.gather(*tasks)


async def settle(operations: Operations, clock: MovableClock, *, s: float = 0) -> None:
    """Move the clock, and let the process look at what is due then."""
    clock.advance(s=s)
    operations.agenda.ring()
