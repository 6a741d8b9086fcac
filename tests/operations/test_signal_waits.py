"""Wait handles: deadlines that hold, and those who wait for the end, in two processes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from queues.errors import (
    SignalLate,
    SignalNotFound,
)
from queues.model import Topic, TopicKind
from queues.signals import Signal, State, Status
from tests.clock import MovableClock
from tests.conformance.reference import ReferenceStorage
from tests.conformance.world import World
from tests.operations.signal_process import (
    NAME,
    PROJECT,
    Process,
    failure,
    success,
)

RETENTION_S = 604_800


async def test_the_deadline_holds_though_nobody_was_there(
    here: Process, clock: MovableClock
) -> None:
    made = await here.put(2, 60)
    await here.send(success("a"))
    clock.advance(s=3600)
    ended = await here.handle()
    assert (ended.state, ended.ended_ms) == (State.TIMEOUT, made.handle.deadline_ms)


async def test_a_signal_at_the_deadline_is_late_though_nobody_noticed(
    here: Process, clock: MovableClock
) -> None:
    await here.put(1, 60)
    clock.advance(s=60)
    with pytest.raises(SignalLate, match="timeout"):
        await here.send(success("a"))
    assert (await here.handle()).senders == ()


async def test_a_signal_that_the_deadline_overtakes_is_late(
    here: Process, clock: MovableClock
) -> None:
    await here.put(1, 60)

    async def slow(name: str) -> None:
        if name == "records.create":
            clock.advance(s=60)

    here.storage.after = slow
    with pytest.raises(SignalLate):
        await here.send(success("a"))
    here.storage.recover()
    assert (await here.handle()).state is State.TIMEOUT
    assert await here.said() == {}


async def test_what_was_shown_as_over_is_over_for_a_server_whose_clock_is_behind(
    here: Process, world: World, clock: MovableClock
) -> None:
    behind = Process(ReferenceStorage(world), MovableClock())
    await here.put(1, 60)
    clock.advance(s=60)
    assert (await here.handle()).state is State.TIMEOUT
    with pytest.raises(SignalLate):
        await behind.send(success("a"))


async def test_a_handle_and_its_data_can_be_read_for_as_long_as_the_setting_says(
    here: Process, clock: MovableClock
) -> None:
    await here.put(1, 60)
    await here.send(success("a", 1))
    clock.advance(s=RETENTION_S, ms=-1)
    assert await here.said() == {"a": 1}
    clock.advance(ms=1)
    with pytest.raises(SignalNotFound):
        await here.show()


# -- waiting --------------------------------------------------------------------------------

Act = Callable[[Process, MovableClock], Awaitable[object]]


async def _time_out(process: Process, clock: MovableClock) -> None:
    clock.advance(s=60)
    await process.attend()


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (lambda process, _: process.send(success("a")), State.SUCCESS),
        (lambda process, _: process.send(failure("a")), State.FAILURE),
        (_time_out, State.TIMEOUT),
    ],
)
async def test_whoever_waits_hears_of_the_end_in_every_process(
    here: Process, there: Process, clock: MovableClock, act: Act, state: State
) -> None:
    await here.put()
    waiting = [asyncio.create_task(p.show(wait_s=30)) for p in (here, here, there)]
    await _all_wait(here, there)
    await act(there, clock)
    async with asyncio.timeout(5):
        assert {shown.handle.state for shown in await asyncio.gather(*waiting)} == {state}


async def test_whoever_waits_goes_on_waiting_through_what_is_not_the_end(
    here: Process, there: Process
) -> None:
    await here.put(2)
    waiting = asyncio.create_task(here.show(wait_s=30))
    await _all_wait(here)
    await there.send(success("a", 1))
    await there.send(Signal(Status.IN_PROGRESS))
    assert not waiting.done()
    await there.send(success("b", 2))
    async with asyncio.timeout(5):
        shown = await waiting
    assert {sender: one.data for sender, one in shown.said.by_id.items()} == {"a": 1, "b": 2}


async def test_whoever_has_waited_long_enough_gets_the_handle_as_it_is(here: Process) -> None:
    await here.put()
    assert (await here.show(wait_s=0.01)).handle.state is State.IN_PROGRESS


async def test_whoever_waits_sees_the_deadline_to_the_moment(
    here: Process, clock: MovableClock
) -> None:
    await here.put(1, 60)
    clock.advance(s=60, ms=-20)
    waiting = asyncio.create_task(here.show(wait_s=30))
    await _all_wait(here)
    clock.advance(ms=20)
    async with asyncio.timeout(5):
        assert (await waiting).handle.state is State.TIMEOUT


async def test_whoever_waits_for_what_is_cancelled_learns_that_it_is_gone(
    here: Process, there: Process
) -> None:
    await here.put()
    waiting = asyncio.create_task(here.show(wait_s=30))
    await _all_wait(here)
    assert await there.operations.signals.cancel(PROJECT, NAME)
    async with asyncio.timeout(5):
        with pytest.raises(SignalNotFound):
            await waiting


async def test_a_server_that_stops_lets_go_of_who_waits(here: Process) -> None:
    await here.put()
    waiting = asyncio.create_task(here.show(wait_s=30))
    await _all_wait(here)
    here.operations.waiting.close()
    async with asyncio.timeout(5):
        assert (await waiting).handle.state is State.IN_PROGRESS


async def _all_wait(*processes: Process) -> None:
    """Return when whoever waits in these processes is parked."""
    topic = Topic(PROJECT, TopicKind.SIGNAL, NAME)
    async with asyncio.timeout(5):
        for process in processes:
            while topic not in process.operations.waiting._places:  # noqa: ASYNC110, SLF001
                await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
