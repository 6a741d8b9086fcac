"""Bodies that do not fit into a message's row: kept apart, and never left behind."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from storage_drivers.sqlite.layout import INLINE_BODY_BYTES
from storage_drivers.sqlite.sweep import STEP_BYTES
from tests.conformance.handle import QueueHandle
from tests.drivers.sqlite_storage import orders
from tests.factories import dead_letters, new_message

SIZES = [0, 1, INLINE_BODY_BYTES, INLINE_BODY_BYTES + 1, 250_000]
BODIES = [bytes([65 + number]) * size for number, size in enumerate(SIZES)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


@pytest.fixture
async def filled(path: Path) -> AsyncIterator[tuple[QueueHandle, list[int]]]:
    async with orders(path) as queue:
        yield queue, await queue.post(*(new_message(body, ttl_s=60) for body in BODIES))


def kept_apart(path: Path) -> list[int]:
    """Return the lengths of the bodies in rows of their own."""
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT length(body) FROM bodies ORDER BY seq").fetchall()
        return [length for (length,) in rows]
    finally:
        connection.close()


async def test_every_way_to_read_gives_the_body_back(
    filled: tuple[QueueHandle, list[int]], path: Path
) -> None:
    queue, seqs = filled
    assert kept_apart(path) == SIZES[3:]
    assert [message.body for message in await queue.get(*seqs)] == BODIES
    assert [message.body for message in (await queue.page()).messages] == BODIES
    newest = (await queue.stats()).newest
    assert newest is not None
    assert newest.body == BODIES[-1]
    claim = await queue.claim_some(5, claim_id="c")
    assert [message.body for message in claim.messages] == BODIES
    again = await queue.get_claim("c")
    assert again is not None
    assert [message.body for message in again.messages] == BODIES
    await queue.release("c")
    popped = await queue.storage.messages.pop(
        queue.project, queue.queue, limit=5, now_ms=queue.now_ms
    )
    assert [message.body for message in popped] == BODIES
    assert kept_apart(path) == []


async def test_a_dead_letter_takes_its_body_along(
    filled: tuple[QueueHandle, list[int]], path: Path
) -> None:
    queue, _ = filled
    await queue.claim_some(5, claim_id="c")
    await queue.release("c")
    assert await queue.claim(5, dead_letter=dead_letters("dead")) is None
    page = await queue.on(queue="dead").page()
    assert [message.body for message in page.messages] == BODIES
    assert kept_apart(path) == SIZES[3:]


async def sweep_all(queue: QueueHandle) -> None:
    while await queue.storage.sweep(limit=100, now_ms=queue.now_ms):
        pass


async def expire(queue: QueueHandle, _: list[int]) -> None:
    queue.clock.advance(s=61)
    await sweep_all(queue)


async def purge(queue: QueueHandle, _: list[int]) -> None:
    await queue.purge()
    await sweep_all(queue)


async def drop(queue: QueueHandle, _: list[int]) -> None:
    await queue.drop()
    await sweep_all(queue)


async def delete(queue: QueueHandle, seqs: list[int]) -> None:
    await queue.delete(*seqs)


@pytest.mark.parametrize("remove", [expire, purge, drop, delete])
async def test_a_body_goes_with_its_message(
    filled: tuple[QueueHandle, list[int]],
    path: Path,
    remove: Callable[[QueueHandle, list[int]], Awaitable[None]],
) -> None:
    queue, seqs = filled
    await remove(queue, seqs)
    assert kept_apart(path) == []


@pytest.mark.parametrize("how", ["expired", "purged"])
async def test_a_step_of_the_sweep_is_bounded_by_bytes_too(path: Path, how: str) -> None:
    count, body = 12, b"x" * (STEP_BYTES // 4)
    async with orders(path) as queue:
        await queue.post(*(new_message(body, ttl_s=60) for _ in range(count)))
        if how == "purged":
            await queue.purge()
        queue.clock.advance(s=61)
        swept = []
        while done := await queue.storage.sweep(limit=1000, now_ms=queue.now_ms):
            swept.append(done)
        assert swept == [4, 4, 4]
        assert kept_apart(path) == []
