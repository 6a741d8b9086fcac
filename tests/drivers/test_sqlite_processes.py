"""Several server processes on one file, and processes that die without a word."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from queues.errors import StorageUnavailable
from storage_drivers.sqlite.turn import Turn
from tests.conformance.handle import QueueHandle
from tests.drivers.sqlite_storage import opened, orders
from tests.factories import new_messages

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


@contextmanager
def worker(verb: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.drivers.sqlite_worker", verb, path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def sequences(process: subprocess.Popen[str], count: int) -> list[int]:
    """Return what the worker acknowledges, up to `count` or to its end."""
    assert process.stdout is not None
    found: list[int] = []
    for line in process.stdout:
        found.append(int(line))
        if len(found) == count:
            break
    return found


def rest(process: subprocess.Popen[str]) -> list[int]:
    """Return the whole lines that a dead worker had still written."""
    assert process.stdout is not None
    text = process.stdout.read()
    return [int(line) for line in text[: text.rfind("\n") + 1].split()]


async def test_kill_9_in_the_middle_of_posts_loses_nothing_acknowledged(path: Path) -> None:
    for _ in range(3):
        with worker("post", path) as process:
            acknowledged = sequences(process, 300)
            process.kill()
            process.wait()
            acknowledged += rest(process)
        async with orders(path) as queue:
            for at in range(0, len(acknowledged), 20):
                page = acknowledged[at : at + 20]
                assert [message.seq for message in await queue.get(*page)] == page


async def test_kill_9_in_the_middle_of_claims_leaves_each_message_ready_or_leased(
    path: Path,
) -> None:
    async with orders(path) as queue:
        posted = await queue.post(*new_messages(600))
    with worker("claim", path) as process:
        leased = set(sequences(process, 100))
        process.kill()
        process.wait()
        leased |= set(rest(process))
    async with orders(path) as queue:
        ready = set()
        while page := await queue.pop(100):
            ready |= set(page)
        kept = {message.seq for message in await queue.get(*posted)}
        assert not ready & leased
        assert leased <= kept
        assert ready | kept == set(posted)


async def test_two_processes_never_claim_the_same_message(path: Path) -> None:
    async with orders(path) as queue:
        posted = await queue.post(*new_messages(600))
    with worker("claim", path) as one, worker("claim", path) as two:
        claimed = sequences(one, len(posted)) + sequences(two, len(posted))
    assert sorted(claimed) == posted


async def test_a_reader_with_a_marker_misses_nothing_of_two_posting_processes(
    path: Path,
) -> None:
    seen: list[int] = []
    async with orders(path) as queue:
        with worker("post", path) as one, worker("post", path) as two:
            acknowledged: set[int] = set()
            while len(acknowledged) < 600:
                acknowledged |= set(sequences(one, 50)) | set(sequences(two, 50))
                seen += await page_after(queue, seen)
        while page := await page_after(queue, seen):
            seen += page
    assert seen == sorted(set(seen))
    assert acknowledged <= set(seen)


async def page_after(queue: QueueHandle, seen: list[int]) -> list[int]:
    page = await queue.page(after=seen[-1] if seen else 0)
    return [message.seq for message in page.messages]


async def test_many_processes_may_open_a_fresh_file_at_the_same_time(path: Path) -> None:
    with worker("open", path) as a, worker("open", path) as b, worker("open", path) as c:
        for process in (a, b, c):
            out, _ = process.communicate(timeout=20)
            assert (process.returncode, out) == (0, "opened\n")
    async with opened(path) as driver:
        await driver.health()


async def test_a_writer_waits_for_its_turn_and_gives_up_in_time(path: Path) -> None:
    async with orders(path, timeout_ms=300) as queue:
        turn = Turn(path)
        with turn:
            with pytest.raises(StorageUnavailable):
                await queue.post()
            assert await queue.counts() == (0, 0)
        turn.close()
        await queue.post()
        assert await queue.counts() == (0, 1)
