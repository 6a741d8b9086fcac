"""A server process that is killed at one of its calls to the store, and one that lives on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from tests.clock import MovableClock
from tests.conformance.harness import Harness
from tests.operations.signal_process import Process
from tests.transport.faults import FaultyStorage

T = TypeVar("T")


class Killed(Exception):
    """The process is gone, and answers nobody any more."""


class Death:
    """Ends a process before or after its call `at` to the store, counted from 0.

    Whatever it asks for from then on raises `error`. `came` is set once it has ended.
    """

    def __init__(
        self,
        storage: FaultyStorage,
        at: int,
        *,
        answer_lost: bool,
        error: type[Exception] = Killed,
    ) -> None:
        self.calls = 0
        self.came = asyncio.Event()
        self._at = at
        self._answer_lost = answer_lost
        self._error = error
        storage.before = self._before
        storage.after = self._after

    async def _before(self, name: str) -> None:
        number, self.calls = self.calls, self.calls + 1
        if number > self._at or (number == self._at and not self._answer_lost):
            self._end(name)

    async def _after(self, name: str) -> None:
        if self.calls > self._at:
            self._end(name)

    def _end(self, name: str) -> None:
        self.came.set()
        raise self._error(name)


class Fate:
    """Two processes on one store; the first dies before or after its call `dies_at`."""

    def __init__(
        self, mortal: Process, sound: Process, dies_at: int, *, answer_lost: bool
    ) -> None:
        self.sound = sound
        self._mortal = mortal
        self._death = Death(mortal.storage, dies_at, answer_lost=answer_lost)

    @property
    def calls(self) -> int:
        """How many calls the first one has made, with those that it died of."""
        return self._death.calls

    async def do(self, call: Callable[[Process], Awaitable[T]]) -> T:
        """Ask the process that may die; who gets no answer asks the other one."""
        try:
            return await call(self._mortal)
        except Killed:
            return await call(self.sound)


async def fates(
    harness: Harness, clock: MovableClock, life: Callable[[Fate], Awaitable[object]]
) -> AsyncIterator[Fate]:
    """Live through `life` once for each moment at which a process can die in it."""
    number = 0
    while True:
        for answer_lost in (False, True):
            storages = [await harness.another(), await harness.another()]
            mortal, sound = (Process(storage, clock) for storage in storages)
            fate = Fate(mortal, sound, number, answer_lost=answer_lost)
            await life(fate)
            yield fate
            for storage in storages:
                await harness.close(storage)
        if fate.calls <= number:
            return
        number += 1
