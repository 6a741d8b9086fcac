"""Wake-ups between processes: how soon, and what becomes of those that are killed."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage_drivers.sqlite import wakeups
from storage_drivers.sqlite.datagram import wake_directory
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.transaction import Transaction
from tests.conformance.ear import Ear, queue_topic
from tests.conformance.handle import QueueHandle
from tests.drivers.sqlite_storage import opened, orders
from tests.drivers.test_sqlite_processes import sequences, worker

ORDERS = queue_topic("orders")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


@pytest.fixture
async def queue(path: Path) -> AsyncIterator[QueueHandle]:
    async with orders(path) as handle:
        yield handle


def sockets(path: Path) -> list[Path]:
    directory = wake_directory(path)
    return list(directory.iterdir()) if directory.exists() else []


async def hint_ns(watcher: subprocess.Popen[str]) -> int:
    """Return when the watcher heard its next hint, or 0 when it began."""
    (at_ns,) = await asyncio.to_thread(sequences, watcher, 1)
    return at_ns


async def test_a_post_wakes_another_process_in_far_less_than_a_second(
    queue: QueueHandle, path: Path
) -> None:
    delays_ns = []
    with worker("watch", path) as watcher:
        assert await hint_ns(watcher) == 0
        for _ in range(100):
            start_ns = time.monotonic_ns()
            await queue.post()
            delays_ns.append(await hint_ns(watcher) - start_ns)
    assert sorted(delays_ns)[50] < 100_000_000
    assert sorted(delays_ns)[98] < 1_000_000_000


async def test_kill_9_of_a_watcher_leaves_nothing_that_matters(
    queue: QueueHandle, path: Path
) -> None:
    for _ in range(3):
        with worker("watch", path) as watcher:
            assert await hint_ns(watcher) == 0
            (left,) = sockets(path)
        assert sockets(path) == [left]
        await queue.post()
        assert sockets(path) == []


async def test_a_process_that_is_killed_between_commit_and_wake_up_is_made_up_for(
    queue: QueueHandle, path: Path
) -> None:
    ear = Ear(queue.storage)
    await ear.watch(ORDERS)
    with worker("die", path) as process:
        assert await asyncio.to_thread(process.wait, 20) == -signal.SIGKILL
    assert await ear.hint() == [None]
    assert len(await queue.everything()) == 1


async def test_kill_9_of_those_who_post_is_heard_in_the_end(
    queue: QueueHandle, path: Path
) -> None:
    ear = Ear(queue.storage)
    await ear.watch(ORDERS)
    seen: set[int] = set()
    for _ in range(3):
        with worker("post", path) as process:
            acknowledged = set(await asyncio.to_thread(sequences, process, 100))
        while not acknowledged <= seen:
            await ear.hint()
            seen |= {message.seq for message in await queue.everything()}


async def test_without_a_socket_what_others_do_is_heard_within_seconds(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 30) / "nusku.db"
    path.parent.mkdir()
    async with orders(path) as queue, opened(path) as other:
        ear, there = Ear(queue.storage), Ear(other)
        await ear.watch(ORDERS)
        await there.watch(ORDERS)
        await queue.on(storage=other).post()
        assert await there.hint() == [ORDERS]
        assert await ear.hint() == [None]


async def test_a_socket_that_somebody_removed_is_made_again(
    queue: QueueHandle, path: Path
) -> None:
    ear = Ear(queue.storage)
    await ear.watch(ORDERS)
    async with opened(path) as other:
        shutil.rmtree(wake_directory(path))
        await queue.on(storage=other).post()
        assert await ear.hint() == [None]
        await queue.on(storage=other).post()
        assert await ear.hint() == [ORDERS]


async def test_who_watches_nothing_any_more_is_sent_nothing_any_more(
    queue: QueueHandle, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "LOOK_S", 0.01)
    monkeypatch.setattr(wakeups, "LINGER_LOOKS", 3)
    await queue.post()
    assert sockets(path) == []
    ear = Ear(queue.storage)
    for _ in range(2):
        await ear.watch(ORDERS)
        assert len(sockets(path)) == 1
        await ear.wakeups.forget(ORDERS)
        looking = queue.storage.wakeups._looking  # type: ignore[attr-defined]  # noqa: SLF001
        await asyncio.wait_for(looking, timeout=10)
        assert sockets(path) == []


async def test_a_write_that_fails_takes_no_hint_of_its_neighbours_along(
    queue: QueueHandle,
) -> None:
    def fails(transaction: Transaction) -> None:
        transaction.execute("INSERT INTO garbage (bucket_id) VALUES (7)")
        raise ZeroDivisionError

    returns = queue.on(queue="returns")
    await returns.create()
    ear = Ear(queue.storage)
    await ear.watch(ORDERS, queue_topic("returns"))
    results = await asyncio.gather(
        queue.post(), lane(queue).run(fails), returns.post(), return_exceptions=True
    )
    assert isinstance(results[1], ZeroDivisionError)
    await ear.hears(ORDERS, queue_topic("returns"))
    assert None not in ear.heard


async def test_a_post_whose_caller_went_away_is_heard(queue: QueueHandle) -> None:
    ear = Ear(queue.storage)
    await ear.watch(ORDERS)
    writer = lane(queue)
    first, second = Pause(), Pause()
    pauses = [asyncio.create_task(writer.run(first))]
    await asyncio.to_thread(first.begun.wait, 10)
    post = asyncio.create_task(queue.post())
    pauses.append(asyncio.create_task(writer.run(second)))
    await asyncio.sleep(0)
    first.over.set()
    await asyncio.to_thread(second.begun.wait, 10)
    post.cancel()
    second.over.set()
    await asyncio.gather(*pauses)
    assert post.cancelled()
    assert len(await queue.everything()) == 1
    await ear.hears(ORDERS)


class Pause:
    """A write that holds up its batch."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.over = threading.Event()

    def __call__(self, _: Transaction) -> None:
        self.begun.set()
        assert self.over.wait(10)


def lane(queue: QueueHandle) -> Lane[Transaction]:
    """Return what the writes of the storage run in."""
    writer: Lane[Transaction] = queue.storage.messages._writer  # type: ignore[attr-defined]  # noqa: SLF001
    return writer
