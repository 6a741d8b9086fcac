"""The sweep: it goes on whatever happens to the store."""

from __future__ import annotations

import asyncio
import logging

import pytest

from queues.errors import StorageUnavailable
from queues.operations import Operations
from queues.operations.sweep import sweep_forever
from tests.clock import MovableClock
from tests.operations.calls import draft, post
from tests.transport.faults import FaultyStorage


class Watch:
    """Counts sweeps, lets a test wait for one, and makes some fail."""

    def __init__(self, *failures: Exception | None) -> None:
        self._failures = list(failures)
        self._swept = asyncio.Condition()
        self.count = 0

    async def before(self, name: str) -> None:
        if name == "sweep" and self._failures:
            failure = self._failures.pop(0)
            if failure is not None:
                raise failure

    async def after(self, name: str) -> None:
        async with self._swept:
            self.count += name == "sweep"
            self._swept.notify_all()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(10), self._swept:
            await self._swept.wait_for(lambda: self.count >= count)


def watch(storage: FaultyStorage, *failures: Exception | None) -> Watch:
    watching = Watch(*failures)
    storage.before, storage.after = watching.before, watching.after
    return watching


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_it_survives_a_store_that_is_away(
    storage: FaultyStorage, clock: MovableClock, caplog: pytest.LogCaptureFixture
) -> None:
    away = StorageUnavailable("no answer")
    watching = watch(storage, away, None, away, away)
    with caplog.at_level(logging.WARNING, "nusku.sweep"):
        task = asyncio.create_task(sweep_forever(storage, clock, interval_s=0.01))
        await watching.wait_for(3)
        await cancelled(task)
    assert [record.getMessage() for record in caplog.records] == [
        "sweep skipped: no answer"
    ] * 3


async def test_a_defect_that_one_sweep_meets_does_not_end_the_sweeping(
    storage: FaultyStorage, clock: MovableClock, caplog: pytest.LogCaptureFixture
) -> None:
    watching = watch(storage, IndexError("a defect"))
    task = asyncio.create_task(sweep_forever(storage, clock, interval_s=0.01))
    await watching.wait_for(2)
    await cancelled(task)
    assert [record.getMessage() for record in caplog.records] == ["sweep failed"]


async def test_it_clears_away_a_large_heap_without_waiting_for_its_interval(
    operations: Operations,
    storage: FaultyStorage,
    clock: MovableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The first pause is none at all, and every other one longer than the test waits.
    pauses = iter([0.0])
    monkeypatch.setattr("random.uniform", lambda low, high: next(pauses, high))
    await post(operations, *[draft(ttl_s=60)] * 1200)
    clock.advance(s=61)
    watching = watch(storage)
    task = asyncio.create_task(sweep_forever(storage, clock, interval_s=3600))
    await watching.wait_for(4)
    await cancelled(task)
    assert await storage.sweep(limit=1, now_ms=clock.now_ms()) == 0
