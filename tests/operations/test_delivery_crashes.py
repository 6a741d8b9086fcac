"""A process that is killed at any step of delivering: others finish, and nothing is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from queues.errors import StorageUnavailable
from queues.operations.agenda import LEASE_MS
from tests.clock import MovableClock
from tests.operations.calls import draft, post
from tests.operations.receivers import AWAY, OK, Post, process, working
from tests.operations.subscribing import HOOK, subscribe
from tests.transport.faults import FaultyStorage

#: A process that delivers three messages, one of them twice, makes no more calls than these.
STEPS = range(1, 34)


def kill_at(storage: FaultyStorage, step: int) -> asyncio.Event:
    """Let the store answer nothing from its call of that number on, like to the dead."""
    dead, made = asyncio.Event(), 0

    async def before(name: str) -> None:
        nonlocal made
        made += 1
        if made >= step:
            dead.set()
            raise StorageUnavailable("killed")

    storage.before = before
    return dead


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("step", STEPS)
async def test_what_was_posted_is_delivered_whoever_is_killed_at_whatever_step(
    storage: FaultyStorage,
    other_storage: FaultyStorage,
    clock: MovableClock,
    step: int,
    ordered: bool,
) -> None:
    outside = Post()
    turns = iter([OK, AWAY])
    outside.answers[HOOK] = lambda document: next(turns, OK)
    victim, survivor = (process(one, clock, outside) for one in (storage, other_storage))
    await subscribe(survivor, _ordered=ordered)
    await post(survivor, draft(b"1"), draft(b"2"))
    await post(survivor, draft(b"3"))
    dead = kill_at(storage, step)
    killed = asyncio.create_task(victim.agenda.run())
    await asyncio.wait([asyncio.create_task(_any(dead, outside))], timeout=1)
    victim.agenda.close()
    await killed
    clock.advance(ms=LEASE_MS)
    async with working(survivor):
        async with asyncio.timeout(10):
            while set(outside.bodies(HOOK)) != {1, 2, 3}:
                await asyncio.sleep(0.005)
                survivor.agenda.ring()
    heard: list[Any] = list(dict.fromkeys(outside.bodies(HOOK)))
    assert not ordered or heard == [1, 2, 3]
    assert len(outside.bodies(HOOK)) <= 5


async def _any(dead: asyncio.Event, outside: Post) -> None:
    """Wait until the process is dead, or has done everything."""
    done = asyncio.create_task(outside.until(HOOK, 4))
    await asyncio.wait(
        [done, asyncio.create_task(dead.wait())], return_when=asyncio.FIRST_COMPLETED
    )
