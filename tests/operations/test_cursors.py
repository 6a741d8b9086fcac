"""Cursors that wait, and what others do between two steps of one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from queues.errors import CursorNotFound, CursorTooOld, StorageUnavailable
from queues.limits import Limits
from queues.model import MessagePage, RecordKind
from queues.operations import Operations
from queues.operations.polls import Patience
from queues.operations.readings import Reading
from tests.conformance.reference import ReferenceStorage
from tests.conformance.world import World
from tests.operations.calls import PROJECT, QUEUE, draft, post
from tests.operations.hurry import LoopClock, in_no_time, settled
from tests.transport.faults import FaultyStorage


class Trial:
    """Operations in memory, with one queue."""

    def __init__(self) -> None:
        self.storage = FaultyStorage(ReferenceStorage(World()))
        self.operations = Operations(self.storage, Limits(), LoopClock())

    async def create(self, start: str = "oldest") -> None:
        await self.operations.queues.create(PROJECT, QUEUE, {})
        await self.operations.cursors.create(PROJECT, QUEUE, "r", start=start)

    async def read(self, wait_s: float = 0) -> Reading:
        return await self.operations.cursors.read(
            PROJECT, QUEUE, "r", Patience(wait_s), after=None, limit=10
        )

    async def post(self, body: bytes = b"1", *, delay_s: int | None = None) -> None:
        await post(self.operations, draft(body, delay_s=delay_s))

    def once_before(self, name: str, act: Callable[[], Awaitable[object]]) -> None:
        """Let something happen right before the next call of that name."""

        async def before(called: str) -> None:
            if called == name:
                self.storage.before = None
                await act()

        self.storage.before = before


def bodies(reading: Reading) -> list[bytes]:
    return [message.body for message in reading.messages]


def now_s() -> float:
    return asyncio.get_running_loop().time()


@in_no_time
async def test_a_reader_is_woken_by_a_post() -> None:
    trial = Trial()
    await trial.create()
    reading = asyncio.create_task(trial.read(60))
    await asyncio.sleep(20)
    await trial.post()
    assert bodies(await reading) == [b"1"]
    assert now_s() == 20


@in_no_time
async def test_a_reader_is_woken_by_the_end_of_the_delay_that_holds_it() -> None:
    trial = Trial()
    await trial.create()
    await trial.post(b"1", delay_s=10)
    await trial.post(b"2")
    assert bodies(await trial.read(60)) == [b"1", b"2"]
    assert now_s() == 10


@in_no_time
async def test_after_the_wait_there_is_nothing() -> None:
    trial = Trial()
    await trial.create()
    assert bodies(await trial.read(7)) == []
    assert now_s() == 7


@in_no_time
async def test_a_reader_that_waits_is_told_what_is_lost() -> None:
    trial = Trial()
    await trial.create()
    await trial.post(b"1", delay_s=10)
    reading = asyncio.create_task(trial.read(60))
    await settled()
    await trial.operations.queues.purge(PROJECT, QUEUE)
    await trial.post(b"2")
    with pytest.raises(CursorTooOld):
        await reading


@in_no_time
async def test_a_reader_of_a_queue_that_is_created_anew_has_no_cursor_there() -> None:
    trial = Trial()
    await trial.create()
    for _ in range(3):
        await trial.post()
    reading = await trial.read()
    cursors = trial.operations.cursors
    view = await cursors.get(PROJECT, QUEUE, "r")
    assert view.lag == 3
    await trial.operations.cursors.delete(PROJECT, QUEUE, "r")
    await trial.operations.cursors.create(PROJECT, QUEUE, "r", start="newest")
    waiting = asyncio.create_task(trial.read(60))
    await settled()
    await trial.operations.queues.delete(PROJECT, QUEUE)
    await asyncio.sleep(1)
    await trial.post(b"new")
    with pytest.raises(CursorNotFound):
        await waiting
    assert len(reading.messages) == 3


@in_no_time
async def test_what_comes_while_the_end_is_looked_for_is_not_lost() -> None:
    trial = Trial()
    await trial.create()
    trial.once_before("messages.tail", trial.post)
    assert bodies(await trial.read()) == [b"1"]


@in_no_time
async def test_what_comes_while_a_cursor_is_created_is_behind_it() -> None:
    trial = Trial()
    await trial.operations.queues.create(PROJECT, QUEUE, {})
    trial.once_before("messages.list", trial.post)
    await trial.create()
    assert bodies(await trial.read()) == [b"1"]


@in_no_time
async def test_deleting_a_queue_leaves_nothing_behind() -> None:
    trial = Trial()
    await trial.create()
    for number in range(250):
        await trial.operations.cursors.create(PROJECT, QUEUE, f"r{number}", start="oldest")
    await trial.operations.queues.delete(PROJECT, QUEUE)
    left = await trial.storage.records.list(
        PROJECT, RecordKind.CURSOR, QUEUE, prefix="", marker="", limit=1, now_ms=0
    )
    assert left == []


@in_no_time
async def test_a_queue_that_cannot_be_deleted_keeps_no_cursor_that_it_would_get_back() -> None:
    trial = Trial()
    await trial.create()

    async def fail() -> None:
        raise StorageUnavailable("away")

    trial.once_before("queues.delete", fail)
    with pytest.raises(StorageUnavailable):
        await trial.operations.queues.delete(PROJECT, QUEUE)
    with pytest.raises(CursorNotFound):
        await trial.read()


@in_no_time
async def test_stretches_of_hidden_messages_are_passed() -> None:
    trial = Trial()
    await trial.create()
    await trial.post()
    hidden = iter([1, 2, 3])
    messages = trial.storage.view("messages")
    real = messages.list  # type: ignore[attr-defined]

    async def page(*args: object, **kwargs: object) -> MessagePage:
        seq = next(hidden, None)
        return await real(*args, **kwargs) if seq is None else MessagePage((), 0)

    messages.list = page  # type: ignore[attr-defined]
    assert bodies(await trial.read()) == [b"1"]
    hidden = iter(range(1000))
    assert bodies(await trial.read()) == []
