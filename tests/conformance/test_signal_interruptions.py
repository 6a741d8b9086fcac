"""Wait handles while a server process is killed, before and after each call to the store.

No signal that was acknowledged is lost, none counts twice, the wait always ends, and a queue is
told of the end exactly once.
"""

from __future__ import annotations

import json

import pytest

from queues.errors import SignalNotFound
from queues.operations.agenda import LEASE_MS
from queues.operations.messages import MessageQuery
from queues.signals import Handle, State
from tests.clock import MovableClock
from tests.conformance.harness import Harness
from tests.conformance.mortal import Fate, fates
from tests.operations.signal_process import PROJECT, TO_QUEUE, Process, failure, success

pytestmark = pytest.mark.slow

SENDERS = ("a", "b", "c")


class Life:
    """What happens to a handle from its making to its end; each time under another name."""

    def __init__(self, clock: MovableClock) -> None:
        self._clock = clock
        self._lives = 0

    @property
    def name(self) -> str:
        return f"boot-{self._lives}"

    async def begin(self, fate: Fate, count: int) -> None:
        self._lives += 1
        name = self.name
        made = await fate.do(lambda p: p.put(count, name=name, data=name, notify=TO_QUEUE))
        again = await fate.sound.put(count, name=name, data=name, notify=TO_QUEUE)
        assert (again.handle, again.url) == (made.handle, made.url)

    async def attend(self, fate: Fate) -> None:
        """Let the agendas of both processes work until nothing is due, also after a crash."""
        await fate.do(Process.attend_all)
        self._clock.advance(ms=LEASE_MS)
        await fate.sound.attend_all()

    async def succeed(self, fate: Fate) -> None:
        await self.begin(fate, len(SENDERS))
        for sender in SENDERS:
            signal = success(sender, f"data of {sender}")
            await fate.do(lambda p, signal=signal: p.send(signal, name=self.name))
        await self.attend(fate)

    async def fail(self, fate: Fate) -> None:
        await self.begin(fate, 2)
        await fate.do(lambda p: p.send(success("a", "fine"), name=self.name))
        await fate.do(lambda p: p.send(failure("a", "no", "not fine"), name=self.name))
        await self.attend(fate)

    async def time_out(self, fate: Fate) -> None:
        await self.begin(fate, 2)
        await fate.do(lambda p: p.send(success("a", "fine"), name=self.name))
        self._clock.advance(s=60)
        await self.attend(fate)

    async def cancel(self, fate: Fate) -> None:
        await self.begin(fate, 2)
        await fate.do(lambda p: p.send(success("a"), name=self.name))
        await fate.do(lambda p: p.operations.signals.cancel(PROJECT, self.name))
        await self.attend(fate)


@pytest.fixture
def life(clock: MovableClock) -> Life:
    return Life(clock)


async def assert_told_once(process: Process, name: str, state: State) -> None:
    query = MessageQuery("", 20, echo=True, include_claimed=True, include_delayed=True)
    listed = await process.operations.messages.list(PROJECT, "done", query, client_id="c")
    bodies = [json.loads(message.body) for message in listed.messages]
    told = [body["state"] for body in bodies if body["signal"] == name]
    assert told == [state], name
    await process.operations.queues.purge(PROJECT, "done")


async def ended(process: Process, name: str) -> Handle:
    handle = await process.handle(name)
    assert await process.attend() == 0
    return handle


async def test_every_acknowledged_signal_counts_once(
    harness: Harness, clock: MovableClock, life: Life
) -> None:
    async for fate in fates(harness, clock, life.succeed):
        handle = await ended(fate.sound, life.name)
        assert (handle.state, handle.senders) == (State.SUCCESS, SENDERS)
        data = {sender: f"data of {sender}" for sender in SENDERS}
        assert await fate.sound.said(life.name) == data
        await assert_told_once(fate.sound, life.name, State.SUCCESS)


async def test_a_failure_that_was_acknowledged_ends_the_wait(
    harness: Harness, clock: MovableClock, life: Life
) -> None:
    async for fate in fates(harness, clock, life.fail):
        handle = await ended(fate.sound, life.name)
        assert (handle.state, handle.reason) == (State.FAILURE, "no")
        assert await fate.sound.said(life.name) == {"a": "not fine"}
        await assert_told_once(fate.sound, life.name, State.FAILURE)


async def test_the_wait_ends_at_its_deadline(
    harness: Harness, clock: MovableClock, life: Life
) -> None:
    async for fate in fates(harness, clock, life.time_out):
        handle = await ended(fate.sound, life.name)
        assert (handle.state, handle.senders) == (State.TIMEOUT, ("a",))
        assert handle.ended_ms == handle.deadline_ms
        await assert_told_once(fate.sound, life.name, State.TIMEOUT)


async def test_a_cancelled_handle_is_gone_and_tells_nobody(
    harness: Harness, clock: MovableClock, life: Life
) -> None:
    async for fate in fates(harness, clock, life.cancel):
        with pytest.raises(SignalNotFound):
            await fate.sound.handle(life.name)
        stats = await fate.sound.operations.queues.stats(PROJECT, "done")
        assert stats.stats.total == 0
