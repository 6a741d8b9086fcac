"""Sequences follow the clock, so that numbers that clients remember do not come again."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle
from tests.drivers.sqlite_storage import opened
from tests.factories import new_messages


async def posted(path: Path, clock: MovableClock, count: int) -> list[int]:
    """Post to a queue of the file, which is created if need be."""
    async with opened(path) as driver:
        queue = QueueHandle(driver, clock)
        await queue.create()
        return await queue.post(*new_messages(count))


async def test_a_restored_file_continues_above_what_was_lost(tmp_path: Path) -> None:
    path, backup, clock = tmp_path / "nusku.db", tmp_path / "backup.db", MovableClock()
    await posted(path, clock, 3)
    shutil.copy(path, backup)
    lost = await posted(path, clock, 1000)
    shutil.copy(backup, path)
    clock.advance(ms=1)
    assert min(await posted(path, clock, 1)) > max(lost)


async def test_a_file_made_anew_continues_above_the_former_one(tmp_path: Path) -> None:
    clock = MovableClock()
    lost = await posted(tmp_path / "former.db", clock, 1000)
    clock.advance(ms=1)
    assert min(await posted(tmp_path / "anew.db", clock, 1)) > max(lost)


async def test_a_clock_that_stands_still_or_goes_back_makes_no_number_twice(
    tmp_path: Path,
) -> None:
    path, behind, ahead = tmp_path / "nusku.db", MovableClock(), MovableClock()
    ahead.advance(s=3600)
    numbers = [
        *await posted(path, ahead, 2),
        *await posted(path, ahead, 2),
        *await posted(path, behind, 2),
    ]
    assert numbers == sorted(set(numbers))


async def test_what_other_queues_take_does_not_show(tmp_path: Path) -> None:
    clock = MovableClock()
    async with opened(tmp_path / "nusku.db") as driver:
        own = QueueHandle(driver, clock)
        other = own.on(project="beta")
        await own.create()
        await other.create()
        gaps = []
        for busy in (1, 500):
            (first,) = await own.post()
            clock.advance(ms=5)
            await other.post(*new_messages(busy))
            clock.advance(ms=5)
            (second,) = await own.post()
            gaps.append(second - first)
            clock.advance(ms=5)
    assert abs(gaps[0] - gaps[1]) <= 1
