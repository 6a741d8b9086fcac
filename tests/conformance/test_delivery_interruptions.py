"""Deliveries while a server process is killed, before and after each call to the store.

Others finish what it had begun: nothing that was posted is lost, and order is kept where it was
asked for.
"""

from __future__ import annotations

import asyncio
import itertools

import pytest

from queues.errors import StorageUnavailable
from queues.operations.agenda import LEASE_MS
from tests.clock import MovableClock
from tests.conformance.harness import Harness
from tests.conformance.mortal import Death
from tests.operations.calls import PROJECT, QUEUE, draft, post
from tests.operations.delivering import until_nothing_is_due
from tests.operations.receivers import AWAY, OK, Post, process, working
from tests.operations.subscribing import HOOK, subscribe
from tests.transport.faults import FaultyStorage

pytestmark = pytest.mark.slow

BODIES = {1, 2, 3}

#: One of the three is sent twice.
PARCELS = 4


class Life:
    """Two processes deliver three messages to a receiver that is away for the second parcel."""

    def __init__(
        self, mortal: FaultyStorage, sound: FaultyStorage, clock: MovableClock
    ) -> None:
        self.outside = Post()
        self.outside.answer(HOOK, OK, AWAY, OK)
        self._mortal_storage = mortal
        self._sound_storage = sound
        self._mortal = process(mortal, clock, self.outside)
        self._sound = process(sound, clock, self.outside)
        self._clock = clock

    async def begin(self, *, ordered: bool) -> None:
        self._id = await subscribe(self._sound, _ordered=ordered)
        # A new lane is looked at once; after that it has to be rung.
        async with working(self._sound):
            await until_nothing_is_due(self._sound)
        self._sound = process(self._sound_storage, self._clock, self.outside)
        await post(self._sound, draft(b"1"), draft(b"2"))
        await post(self._sound, draft(b"3"))

    async def die(self, at: int, *, answer_lost: bool) -> Death:
        """Let one process deliver until it dies at that call, or has delivered everything."""
        death = Death(
            self._mortal_storage, at, answer_lost=answer_lost, error=StorageUnavailable
        )
        done = asyncio.create_task(self.outside.until(HOOK, PARCELS))
        died = asyncio.create_task(death.came.wait())
        async with working(self._mortal):
            first, rest = await asyncio.wait([done, died], return_when=asyncio.FIRST_COMPLETED)
        for task in first:
            task.result()
        for task in rest:
            task.cancel()
        self._mortal_storage.recover()
        return death

    async def go_on(self) -> None:
        """Let the other one deliver what is left when the leases of the dead have ended."""
        self._clock.advance(ms=LEASE_MS)
        async with working(self._sound), asyncio.timeout(10):
            while set(self.outside.bodies(HOOK)) != BODIES:
                self._sound.agenda.ring()
                await asyncio.sleep(0.005)

    async def end(self) -> None:
        await self._sound.subscriptions.delete(PROJECT, QUEUE, self._id)


@pytest.mark.parametrize("answer_lost", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
async def test_what_was_posted_is_delivered_whoever_is_killed_at_whatever_step(
    harness: Harness, clock: MovableClock, ordered: bool, answer_lost: bool
) -> None:
    mortal, sound = [FaultyStorage(await harness.another()) for _ in range(2)]
    for at in itertools.count():
        life = Life(mortal, sound, clock)
        await life.begin(ordered=ordered)
        death = await life.die(at, answer_lost=answer_lost)
        await life.go_on()
        heard = life.outside.bodies(HOOK)
        assert not ordered or list(dict.fromkeys(heard)) == [1, 2, 3]
        assert len(heard) <= PARCELS + 1
        await life.end()
        if not death.came.is_set():
            return
