"""Hints between processes on one file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from queues.model import Topic, TopicKind
from storage_drivers.sqlite import Driver
from tests.conformance.handle import QueueHandle
from tests.drivers.sqlite_storage import opened, orders

ORDERS = Topic("alpha", TopicKind.QUEUE, "orders")
SIGNAL = Topic("alpha", TopicKind.SIGNAL, "orders")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


@pytest.fixture
async def queue(path: Path) -> AsyncIterator[QueueHandle]:
    async with orders(path) as handle:
        yield handle


class Hints:
    """What a storage heard."""

    def __init__(self, driver: Driver) -> None:
        self.wakeups = driver.wakeups
        self._heard: asyncio.Queue[Topic | None] = asyncio.Queue()
        self.wakeups.listen(self._heard.put_nowait)

    async def next(self) -> Topic | None:
        async with asyncio.timeout(5):
            return await self._heard.get()

    def waiting(self) -> int:
        return self._heard.qsize()


async def test_a_post_is_heard_here_and_in_another_process(
    queue: QueueHandle, path: Path
) -> None:
    here = Hints(queue.storage)
    async with opened(path) as driver:
        there = Hints(driver)
        for hints in (here, there):
            await hints.wakeups.watch(ORDERS)
        for post in (queue.post, queue.on(storage=driver).post):
            await post()
            assert await here.next() == await there.next() == ORDERS
        await asyncio.sleep(1.6)
        assert (here.waiting(), there.waiting()) == (0, 0)


async def test_tell(queue: QueueHandle, path: Path) -> None:
    here = Hints(queue.storage)
    async with opened(path) as driver:
        there = Hints(driver)
        for hints in (here, there):
            await hints.wakeups.watch(SIGNAL)
        here.wakeups.tell(SIGNAL)
        assert await here.next() == await there.next() == SIGNAL
        await asyncio.sleep(1.6)
        assert (here.waiting(), there.waiting()) == (0, 0)
