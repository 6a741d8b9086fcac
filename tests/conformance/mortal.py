"""A server process that is killed at one of its calls to the store, and one that lives on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from tests.clock import MovableClock
from tests.conformance.harness import Harness
from tests.operations.signal_process import Process

T = TypeVar("T")


class Killed(Exception):
    """The process is gone, and answers nobody any more."""


class Fate:
    """Two processes on one store; the first dies before or after its call `dies_at`."""

    def __init__(
        self, mortal: Process, sound: Process, dies_at: int, *, answer_lost: bool
    ) -> None:
        self.sound = sound
        self.calls = 0
        self._mortal = mortal
        self._dies_at = dies_at
        self._answer_lost = answer_lost
        mortal.storage.before = self._before
        mortal.storage.after = self._after

    async def _before(self, name: str) -> None:
        number, self.calls = self.calls, self.calls + 1
        if number > self._dies_at or (number == self._dies_at and not self._answer_lost):
            raise Killed(name)

    async def _after(self, name: str) -> None:
        if self.calls > self._dies_at:
            raise Killed(name)

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
