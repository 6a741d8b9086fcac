"""Numbers and tails of queues, which are counted in memory and stored once a batch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from queues.model import DeadLetterPolicy, Position
from tests.conformance.handle import QueueHandle
from tests.drivers.sqlite_storage import opened, orders
from tests.factories import new_messages


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


async def numbers(queue: QueueHandle) -> list[int]:
    return [message.number for message in await queue.everything()]


async def test_posts_that_share_a_commit_are_numbered_one_by_one(path: Path) -> None:
    async with orders(path) as queue:
        other = queue.on(queue="other")
        await other.create()
        posts = [each.post(*new_messages(3)) for each in (queue, other) for _ in range(20)]
        seqs = await asyncio.gather(*posts)
        for each in (queue, other):
            assert await numbers(each) == list(range(1, 61))
        assert await other.tail() == Position(seqs[-1][-1], 60)


async def test_two_processes_number_together(path: Path) -> None:
    async with orders(path) as queue, opened(path) as other:
        there = queue.on(storage=other)
        for _ in range(3):
            await queue.post()
            (seq,) = await there.post()
            assert await queue.tail() == await there.tail()
            assert (await queue.tail()).seq == seq
        assert await numbers(queue) == [1, 2, 3, 4, 5, 6]


async def test_a_purge_keeps_the_tail_and_numbers_go_on(path: Path) -> None:
    async with orders(path) as queue:
        seqs = await queue.post(*new_messages(3))
        await queue.purge()
        assert await queue.tail() == Position(seqs[-1], 3)
        await queue.post()
        assert await numbers(queue) == [4]


async def test_a_queue_that_is_made_again_begins_above_its_former_life(path: Path) -> None:
    async with orders(path) as queue:
        seqs = await queue.post(*new_messages(3))
        await queue.drop()
        assert await queue.tail() == Position(0, 0)
        await queue.create()
        begin = await queue.tail()
        assert begin.number == 0
        assert seqs[-1] <= begin.seq < (await queue.post())[0]
        assert await numbers(queue) == [1]


async def test_dead_letters_are_numbered_where_they_arrive(path: Path) -> None:
    policy = DeadLetterPolicy("graveyard", 1, None, 1)
    async with orders(path) as queue:
        graveyard = queue.on(queue="graveyard")
        await queue.post(*new_messages(3))
        await queue.claim_some(3, lease_s=1)
        queue.clock.advance(s=1)
        assert await queue.claim(3, dead_letter=policy) is None
        await graveyard.post()
        assert await numbers(graveyard) == [1, 2, 3, 4]
        assert (await queue.tail()).number == 3
