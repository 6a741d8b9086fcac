"""A store whose calls are counted and held back, and a clock that can be set."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.clock import MovableClock
from tests.transport.faults import FaultyStorage


class Calls:
    """Counts the calls of a store by name, and can make some of them wait."""

    def __init__(self, storage: FaultyStorage) -> None:
        self.made: Counter[str] = Counter()
        self._gates: dict[str, asyncio.Event] = {}
        self._begun = asyncio.Event()
        storage.before = self._before

    def hold(self, name: str) -> asyncio.Event:
        """Let calls of that name wait until the event is set."""
        self._gates[name] = asyncio.Event()
        return self._gates[name]

    async def until(self, name: str, number: int) -> None:
        """Wait until so many calls of that name have begun."""
        while self.made[name] < number:
            self._begun.clear()
            await self._begun.wait()

    async def _before(self, name: str) -> None:
        self.made[name] += 1
        self._begun.set()
        gate = self._gates.get(name)
        if gate is not None:
            await gate.wait()


def step(clock: MovableClock, *, s: int) -> None:
    """Set the clock as an operator does, also back."""
    clock._now_ms += s * 1000  # noqa: SLF001 (a movable clock only goes forward)
