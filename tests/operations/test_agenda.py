"""The agenda: what is due is done, whoever fails, dies or is told to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from queues.errors import StorageUnavailable
from queues.model import Record, RecordKind, Taken
from queues.operations.agenda import (
    AT_WORK,
    ERRANDS_OF_A_PROJECT,
    LEASE_MS,
    PUT_OFF_MS,
    Agenda,
)
from tests.clock import MovableClock
from tests.conformance.reference import ReferenceStorage
from tests.conformance.world import World
from tests.transport.faults import FaultyStorage

KIND = RecordKind.SIGNAL

#: Longer than any test: only a ring makes an agenda look again.
NEVER_S = 3600


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def storage(world: World) -> FaultyStorage:
    return FaultyStorage(ReferenceStorage(world))


class Desk:
    """One process' agenda, and what its handler was called with."""

    def __init__(
        self, storage: FaultyStorage, clock: MovableClock, *, pause_s: float = NEVER_S
    ) -> None:
        self.agenda = Agenda(storage, clock, pause_s=pause_s)
        self.agenda.handle(KIND, self._handle)
        self.handled: list[Taken] = []
        self.gate = asyncio.Event()
        self.failure: Exception | None = None
        self._storage = storage
        self._clock = clock
        self._called = asyncio.Condition()

    async def _handle(self, taken: Taken) -> None:
        async with self._called:
            self.handled.append(taken)
            self._called.notify_all()
        await self.gate.wait()
        if self.failure:
            raise self.failure
        settled = taken.record._replace(due_ms=None)
        await self._storage.records.replace(taken.project, settled, now_ms=self._clock.now_ms())

    async def until_called(self, times: int) -> None:
        async with asyncio.timeout(10), self._called:
            await self._called.wait_for(lambda: len(self.handled) >= times)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.agenda.run())
        yield
        self.agenda.close()
        async with asyncio.timeout(10):
            await task


async def enter(
    storage: FaultyStorage, clock: MovableClock, key: str, *, in_ms: int = 0
) -> None:
    record = Record(KIND, "", key, b"{}", version=1, due_ms=clock.now_ms() + in_ms)
    assert await storage.records.create("p", record, now_ms=clock.now_ms())


async def due_ms(storage: FaultyStorage, clock: MovableClock, key: str = "a") -> int | None:
    record = await storage.records.get("p", KIND, "", key, now_ms=clock.now_ms())
    assert record is not None
    return record.due_ms


async def test_what_is_due_is_handled_with_its_project_and_once(
    storage: FaultyStorage, clock: MovableClock
) -> None:
    await enter(storage, clock, "a")
    desk = Desk(storage, clock)
    desk.gate.set()
    async with desk.open():
        await desk.until_called(1)
        clock.advance(ms=LEASE_MS)
        await enter(storage, clock, "b")
        desk.agenda.ring()
        await desk.until_called(2)
    assert [(taken.project, taken.record.key) for taken in desk.handled] == [
        ("p", "a"),
        ("p", "b"),
    ]


async def test_what_is_not_due_yet_waits(storage: FaultyStorage, clock: MovableClock) -> None:
    await enter(storage, clock, "later", in_ms=1)
    await enter(storage, clock, "now")
    desk = Desk(storage, clock)
    desk.gate.set()
    async with desk.open():
        await desk.until_called(1)
        assert [taken.record.key for taken in desk.handled] == ["now"]
        clock.advance(ms=1)
        desk.agenda.ring()
        await desk.until_called(2)


async def test_it_looks_by_itself_when_nobody_rings(
    storage: FaultyStorage, clock: MovableClock
) -> None:
    desk = Desk(storage, clock, pause_s=0.01)
    desk.gate.set()
    async with desk.open():
        await enter(storage, clock, "a")
        await desk.until_called(1)


async def test_a_full_house_is_filled_again_as_it_empties(
    storage: FaultyStorage, clock: MovableClock
) -> None:
    for number in range(3 * AT_WORK):
        await enter(storage, clock, f"{number:03}")
    desk = Desk(storage, clock)
    async with desk.open():
        await desk.until_called(AT_WORK)
        desk.agenda.ring()
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(desk.handled) == AT_WORK
        desk.gate.set()
        await desk.until_called(3 * AT_WORK)


@pytest.mark.parametrize("failure", [StorageUnavailable("away"), ValueError("a mistake")])
async def test_what_a_handler_fails_at_is_handled_again_after_the_lease(
    storage: FaultyStorage,
    clock: MovableClock,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
) -> None:
    await enter(storage, clock, "a")
    desk = Desk(storage, clock, pause_s=0.01)
    desk.failure = failure
    desk.gate.set()
    with caplog.at_level(logging.WARNING, "nusku.agenda"):
        async with desk.open():
            await desk.until_called(1)
            assert await due_ms(storage, clock) == clock.now_ms() + LEASE_MS
            clock.advance(ms=LEASE_MS)
            await desk.until_called(2)
    assert all("signal a" in record.getMessage() for record in caplog.records)
    assert len(caplog.records) == 2


@pytest.mark.parametrize("error", [StorageUnavailable("away"), ValueError("a defect")])
async def test_it_survives_a_store_that_is_away_or_has_a_defect(
    storage: FaultyStorage, clock: MovableClock, error: Exception
) -> None:
    await enter(storage, clock, "a")
    desk = Desk(storage, clock, pause_s=0.01)
    desk.gate.set()
    asked = asyncio.Event()

    async def away(name: str) -> None:
        asked.set()
        raise error

    storage.before = away
    async with desk.open():
        await asked.wait()
        storage.recover()
        await desk.until_called(1)


async def test_whoever_is_told_to_stop_gives_back_what_is_not_finished(
    storage: FaultyStorage, clock: MovableClock
) -> None:
    await enter(storage, clock, "a")
    stopped, other = Desk(storage, clock), Desk(storage, clock)
    other.gate.set()
    async with stopped.open():
        await stopped.until_called(1)
    async with other.open():
        await other.until_called(1)
    assert await due_ms(storage, clock) is None


async def test_what_was_just_taken_is_given_back_as_well(
    storage: FaultyStorage, clock: MovableClock
) -> None:
    await enter(storage, clock, "a")
    desk = Desk(storage, clock)

    async def close(name: str) -> None:
        if name == "records.take":
            desk.agenda.close()

    storage.after = close
    async with asyncio.timeout(10):
        await desk.agenda.run()
    assert await due_ms(storage, clock) == clock.now_ms()


async def test_a_process_that_died_is_replaced_after_its_lease(
    storage: FaultyStorage, clock: MovableClock
) -> None:
    await enter(storage, clock, "a")
    await storage.records.take(limit=1, lease_ms=LEASE_MS, now_ms=clock.now_ms())
    desk = Desk(storage, clock)
    desk.gate.set()
    async with desk.open():
        clock.advance(ms=LEASE_MS)
        desk.agenda.ring()
        await desk.until_called(1)


async def test_without_handlers_nothing_is_taken(
    storage: FaultyStorage, clock: MovableClock
) -> None:
    await enter(storage, clock, "a")
    before = await due_ms(storage, clock)
    async with asyncio.timeout(10):
        await Agenda(storage, clock).run()
    assert await due_ms(storage, clock) == before


class Errand(Desk):
    """A desk whose handler waits for others."""

    def __init__(self, storage: FaultyStorage, clock: MovableClock) -> None:
        super().__init__(storage, clock)
        self.agenda.handle(KIND, self._handle, errand=True)


async def test_errands_of_one_project_leave_room_for_others(
    storage: FaultyStorage, clock: MovableClock
) -> None:
    for number in range(2 * ERRANDS_OF_A_PROJECT):
        await enter(storage, clock, f"{number:03}")
    desk = Errand(storage, clock)
    async with desk.open():
        await desk.until_called(ERRANDS_OF_A_PROJECT)
        record = Record(KIND, "", "theirs", b"{}", version=1, due_ms=clock.now_ms())
        await storage.records.create("other", record, now_ms=clock.now_ms())
        desk.agenda.ring()
        await desk.until_called(ERRANDS_OF_A_PROJECT + 1)
        assert desk.handled[-1].project == "other"
        desk.gate.set()
        async with asyncio.timeout(10):
            while len(desk.handled) <= 2 * ERRANDS_OF_A_PROJECT:
                clock.advance(ms=PUT_OFF_MS)
                desk.agenda.ring()
                await asyncio.sleep(0.005)


async def test_errands_take_no_place_of_what_only_waits_for_the_store(
    storage: FaultyStorage, clock: MovableClock
) -> None:
    desk, quick = Errand(storage, clock), asyncio.Event()

    async def handle(taken: Taken) -> None:
        quick.set()

    desk.agenda.handle(RecordKind.CURSOR, handle)
    for number in range(2 * AT_WORK):
        await enter(storage, clock, f"{number:03}")
    async with desk.open(), asyncio.timeout(10):
        await desk.until_called(2 * AT_WORK)
        record = Record(RecordKind.CURSOR, "", "a", b"{}", version=1, due_ms=clock.now_ms())
        await storage.records.create("p", record, now_ms=clock.now_ms())
        desk.agenda.ring()
        await quick.wait()


async def test_whoever_is_told_to_stop_lets_errands_end(
    storage: FaultyStorage, clock: MovableClock
) -> None:
    await enter(storage, clock, "a")
    desk = Errand(storage, clock)
    async with desk.open():
        await desk.until_called(1)
        desk.agenda.close()
        await asyncio.sleep(0)
        desk.gate.set()
    assert await due_ms(storage, clock) is None
