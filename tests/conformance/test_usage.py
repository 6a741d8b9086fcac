"""Usage: what a project has in the store, counted to the byte."""

from __future__ import annotations

import asyncio

import pytest

from queues.errors import QueueChanged
from queues.model import Message, Usage
from tests.conformance.collisions import PLACES
from tests.conformance.handle import QueueHandle
from tests.conformance.project import ProjectHandle
from tests.factories import dead_letters, idempotency, new_message, new_messages

LONG = b"x" * 100_000


@pytest.fixture
async def orders(alpha: ProjectHandle) -> QueueHandle:
    return await alpha.queue("orders")


def bytes_of(messages: list[Message]) -> int:
    return sum(len(message.body) for message in messages)


async def test_a_project_without_anything_uses_nothing(alpha: ProjectHandle) -> None:
    assert await alpha.usage() == Usage(0, 0, 0, 0)


async def test_queues_are_counted(alpha: ProjectHandle) -> None:
    for number in range(3):
        queue = await alpha.queue(f"queue-{number}")
        await queue.create()
        assert await alpha.usage() == Usage(number + 1, 0, 0, 0)
    await queue.drop()
    assert await alpha.usage() == Usage(2, 0, 0, 0)


async def test_posts_to_all_queues_are_counted(alpha: ProjectHandle) -> None:
    one, other = await alpha.queue("one"), await alpha.queue("other")
    await one.post(new_message(b"12345"), new_message(b"", delay_s=60))
    assert await alpha.usage() == Usage(2, 2, 5, 0)
    await other.post(new_message(b"123"))
    await one.post(new_message(b"1"), new_message(LONG), new_message("ü"))
    assert await alpha.usage() == Usage(2, 6, 100_011, 0)


@pytest.mark.parametrize("size", [0, 1, 3499, 3500, 3501, 4096, 70_000, 1_000_000])
async def test_bodies_of_any_length_are_counted_and_forgotten(
    orders: QueueHandle, alpha: ProjectHandle, size: int
) -> None:
    seqs = await orders.post(new_message(b"x" * size), new_message(b"xy"))
    assert await alpha.usage() == Usage(1, 2, size + 2, 0)
    await orders.delete(seqs[0])
    assert await alpha.usage() == Usage(1, 1, 2, 0)


async def test_a_post_that_stores_nothing_counts_nothing(
    orders: QueueHandle, alpha: ProjectHandle
) -> None:
    key = idempotency()
    for _ in range(3):
        await orders.post(*new_messages(2), idempotency=key)
    with pytest.raises(QueueChanged):
        await orders.on(version=2).post(*new_messages(2))
    assert await alpha.usage() == Usage(1, 2, 2, 0)


async def test_deleting_and_popping_count_back(
    orders: QueueHandle, alpha: ProjectHandle
) -> None:
    seqs = await orders.post(*(new_message(b"x" * size) for size in (1, 10, 100, 5000)))
    await orders.delete(seqs[1], seqs[3])
    await orders.delete(seqs[1])
    assert await alpha.usage() == Usage(1, 2, 101, 0)
    await orders.pop(1)
    assert await alpha.usage() == Usage(1, 1, 100, 0)
    await orders.pop(9)
    assert await alpha.usage() == Usage(1, 0, 0, 0)


async def test_a_message_that_comes_while_another_goes_changes_the_bytes_alone(
    orders: QueueHandle, alpha: ProjectHandle
) -> None:
    (old,) = await orders.post(new_message(b"x"))
    for size in range(2, 12):
        posting = orders.post(new_message(b"x" * size))
        (old,), _ = await asyncio.gather(posting, orders.delete(old))
        assert await alpha.usage() == Usage(1, 1, size, 0)


async def test_messages_under_a_lease_are_counted_once(
    orders: QueueHandle, alpha: ProjectHandle
) -> None:
    await orders.post(*new_messages(9), new_message(LONG))
    first, second = await orders.claim_some(4), await orders.claim_some(9)
    size = 9 + len(LONG)
    assert await alpha.usage() == Usage(1, 10, size, 10)
    await orders.renew(first.id)
    await orders.release(second.id)
    assert await alpha.usage() == Usage(1, 10, size, 4)
    await orders.delete(first.messages[0].seq, claim_ids=[first.id])
    assert await alpha.usage() == Usage(1, 9, size - 1, 3)


async def test_a_lease_that_ended_counts_no_more_when_it_was_swept(
    orders: QueueHandle, alpha: ProjectHandle
) -> None:
    await orders.post(*new_messages(3, ttl_s=9000))
    await orders.claim_some(2, lease_s=60)
    orders.clock.advance(s=60)
    assert (await alpha.usage()).claimed <= 2
    await orders.sweep_all()
    assert await alpha.usage() == Usage(1, 3, 3, 0)


async def test_what_expired_counts_no_more_when_it_was_swept(
    orders: QueueHandle, alpha: ProjectHandle
) -> None:
    await orders.post(*new_messages(3, ttl_s=60), new_message(LONG, ttl_s=60))
    await orders.post(new_message(b"stays"), new_message(b"delayed", ttl_s=60, delay_s=30))
    await orders.claim_some(1, lease_s=10, grace_s=0)
    orders.clock.advance(s=60)
    before = await alpha.usage()
    assert 1 <= before.messages <= 6
    assert 5 <= before.body_bytes <= 15 + len(LONG)
    await orders.sweep_all()
    assert await alpha.usage() == Usage(1, 1, 5, 0)


async def test_purged_messages_count_no_more(orders: QueueHandle, alpha: ProjectHandle) -> None:
    other = await alpha.queue("other")
    await other.post(new_message(b"123"))
    for _ in range(2):
        await orders.post(*new_messages(5), new_message(LONG))
        await orders.claim_some(2)
        await orders.purge()
        assert await alpha.usage() == Usage(2, 1, 3, 0)
    await orders.sweep_all()
    assert await alpha.usage() == Usage(2, 1, 3, 0)
    await orders.post(new_message(b"12"))
    assert await alpha.usage() == Usage(2, 2, 5, 0)


async def test_a_deleted_queue_counts_no_more_and_begins_at_nothing(
    orders: QueueHandle, alpha: ProjectHandle
) -> None:
    await orders.post(*new_messages(5), new_message(LONG))
    await orders.claim_some(2)
    await orders.drop()
    assert await alpha.usage() == Usage(0, 0, 0, 0)
    await orders.create()
    assert await alpha.usage() == Usage(1, 0, 0, 0)
    await orders.sweep_all()
    await orders.post(new_message(b"12"))
    assert await alpha.usage() == Usage(1, 1, 2, 0)


async def test_dead_letters_count_where_they_went(
    orders: QueueHandle, alpha: ProjectHandle
) -> None:
    await orders.post(*new_messages(3), new_message(LONG))
    await orders.release((await orders.claim_some(4)).id)
    await orders.post(new_message(b"12"))
    claim = await orders.claim_some(9, dead_letter=dead_letters("dead"))
    assert len(claim.messages) == 1
    assert await alpha.usage() == Usage(2, 5, 5 + len(LONG), 1)
    await orders.drop()
    assert await alpha.usage() == Usage(1, 4, 3 + len(LONG), 0)
    await orders.on(queue="dead").purge()
    assert await alpha.usage() == Usage(1, 0, 0, 0)


async def test_each_project_uses_its_own(alpha: ProjectHandle) -> None:
    names = dict.fromkeys(project for project, _ in PLACES)
    projects = [(1 + n % 7, alpha.on(project=name)) for n, name in enumerate(names)]
    for number, project in projects:
        queue = await project.queue("q")
        await queue.post(*(new_message(b"x" * number) for _ in range(number)))
        await queue.claim_some(1)
    for number, project in projects:
        assert await project.usage() == Usage(1, number, number * number, 1)


async def test_what_others_did_at_the_same_time_is_all_counted(
    twins: list[ProjectHandle],
) -> None:
    queues = [await twins[n % 2].queue(f"queue-{n % 3}") for n in range(6)]

    async def work(queue: QueueHandle, number: int) -> None:
        seqs = await queue.post(*(new_message(b"x" * (number * n)) for n in range(5)))
        await queue.delete(seqs[number % 5])
        await queue.claim(2)
        await queue.pop(1)

    await asyncio.gather(*(work(queue, n) for n in range(6) for queue in queues))
    left = [message for queue in queues[:3] for message in await queue.everything()]
    claimed = sum(message.claim_id is not None for message in left)
    assert left
    for twin in twins:
        assert await twin.usage() == Usage(3, len(left), bytes_of(left), claimed)
