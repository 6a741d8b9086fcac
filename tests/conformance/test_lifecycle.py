"""Opening, closing and giving up on a call: what a server process does to its storage."""

from __future__ import annotations

import asyncio
import threading

import pytest

from queues.errors import QueueChanged, StorageUnavailable
from tests.conformance.ear import Ear, queue_topic, signal_topic
from tests.conformance.handle import QueueHandle, seqs_of
from tests.conformance.harness import Harness
from tests.factories import new_message, new_messages


async def test_what_one_instance_stored_another_finds_at_once(
    orders: QueueHandle, harness: Harness
) -> None:
    other = orders.on(storage=await harness.another())
    for _ in range(5):
        seqs = await orders.post(*new_messages(2))
        assert await other.listed() == seqs
        claim = await other.claim_some(1)
        assert await orders.get_claim(claim.id) == claim
        await orders.delete(*seqs)
        assert await other.counts() == (0, 0)


async def test_what_was_stored_is_there_after_closing_and_opening(
    orders: QueueHandle, harness: Harness
) -> None:
    await orders.post(*new_messages(3), new_message(delay_s=60))
    claim = await orders.claim_some(1)
    queue, before, stats = (
        await orders.describe(),
        await orders.everything(),
        await orders.stats(),
    )
    await harness.close(orders.storage)
    again = orders.on(storage=await harness.another())
    assert await again.describe() == queue
    assert await again.everything() == before
    assert await again.stats() == stats
    assert await again.get_claim(claim.id) == claim


async def test_closing_lets_running_calls_finish(orders: QueueHandle, harness: Harness) -> None:
    storage = await harness.another()
    closing = orders.on(storage=storage)
    posts = [asyncio.create_task(closing.post(*new_messages(2))) for _ in range(20)]
    await asyncio.sleep(0)
    await harness.close(storage)
    batches = await asyncio.gather(*posts)
    assert await orders.listed() == sorted(seq for batch in batches for seq in batch)


async def test_an_instance_can_be_closed_as_soon_as_it_refused_a_post(
    orders: QueueHandle, harness: Harness
) -> None:
    storage = await harness.another()
    await orders.drop()
    with pytest.raises(QueueChanged):
        await orders.on(storage=storage).post()
    await harness.close(storage)


async def test_a_closed_instance_is_unavailable(orders: QueueHandle, harness: Harness) -> None:
    if not harness.backend.can_close:
        pytest.skip("this store holds nothing that could be closed")
    storage = await harness.another()
    closed = orders.on(storage=storage)
    await harness.close(storage)
    calls = (closed.post, closed.page, closed.claim, closed.describe, closed.sweep)
    for call in (*calls, closed.tail, closed.next_due):
        with pytest.raises(StorageUnavailable):
            await asyncio.wait_for(call(), timeout=5)
    assert await orders.post()


async def test_closing_frees_threads(orders: QueueHandle, harness: Harness) -> None:
    async def live_and_die() -> None:
        storage = await harness.another()
        handle = orders.on(storage=storage)
        await Ear(storage).watch(queue_topic("orders"), signal_topic("ready"))
        posting = asyncio.gather(*(handle.post() for _ in range(10)))
        await asyncio.gather(*(handle.page() for _ in range(10)))
        await posting
        await harness.close(storage)

    await live_and_die()
    settled, lives = threading.active_count(), 12
    for _ in range(lives):
        await live_and_die()
    # NOTE: the pool of the event loop may still add a thread or two of its own, and threads
    # of pymongo hear of the end when they wake up, up to a second later.
    async with asyncio.timeout(10):
        while threading.active_count() >= settled + lives // 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_closing_ends_whatever_went_on_in_the_background(
    orders: QueueHandle, harness: Harness
) -> None:
    before = asyncio.all_tasks()
    storage = await harness.another()
    await Ear(storage).watch(queue_topic("orders"), signal_topic("ready"))
    await asyncio.gather(*(orders.on(storage=storage).post() for _ in range(10)))
    await harness.close(storage)
    assert asyncio.all_tasks() <= before


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13])
async def test_a_cancelled_call_confuses_no_other(orders: QueueHandle, turns: int) -> None:
    seqs = await orders.post(*new_messages(12))
    reads = [asyncio.create_task(orders.get(seq)) for seq in seqs]
    posts = [asyncio.create_task(orders.post(new_message("99"))) for _ in range(4)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in (*reads[::2], *posts[::2]):
        task.cancel()
    await asyncio.gather(*reads, *posts, return_exceptions=True)
    answers = await asyncio.gather(*(orders.get(seq) for seq in seqs))
    assert [[m.body for m in answer] for answer in answers] == [[b"%d" % n] for n in range(12)]
    for number in range(1, 12, 2):
        assert [m.body for m in await reads[number]] == [b"%d" % number]
    assert set(await posts[1] + await posts[3]) <= set(seqs_of(await orders.everything()))
    assert await orders.counts() == (0, len(await orders.everything()))
    assert 2 <= len(await orders.everything()) - 12 <= 4


async def test_many_calls_at_once_get_their_own_answers(orders: QueueHandle) -> None:
    batches = await asyncio.gather(
        *(orders.post(*(new_message(f"{n}-{m}") for m in range(n % 5 + 1))) for n in range(40))
    )
    found = await asyncio.gather(*(orders.get(*batch) for batch in batches))
    for n, messages in enumerate(found):
        assert [m.body.decode() for m in messages] == [f"{n}-{m}" for m in range(n % 5 + 1)]
