"""Depth: what stands in front is no obstacle, neither to the answer nor to its cost."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.conformance.handle import QueueHandle, seqs_of
from tests.conformance.harness import Harness
from tests.conformance.stopwatch import fastest_ms
from tests.factories import new_messages

pytestmark = pytest.mark.slow

BATCH = 100

Fill = Callable[[QueueHandle, int], Awaitable[None]]


async def post_many(orders: QueueHandle, depth: int, **fields: object) -> None:
    for _ in range(depth // BATCH):
        await orders.post(*new_messages(BATCH, **fields))


async def claimed(orders: QueueHandle, depth: int) -> None:
    await post_many(orders, depth)
    for _ in range(depth // BATCH):
        await orders.claim_some(BATCH, lease_s=3600)


async def delayed(orders: QueueHandle, depth: int) -> None:
    await post_many(orders, depth, delay_s=1800)


async def expired(orders: QueueHandle, depth: int) -> None:
    await post_many(orders, depth, ttl_s=60)
    orders.clock.advance(s=60)


async def expired_delayed(orders: QueueHandle, depth: int) -> None:
    await post_many(orders, depth, ttl_s=60, delay_s=90)
    orders.clock.advance(s=60)


async def expired_under_lapsed_leases(orders: QueueHandle, depth: int) -> None:
    await post_many(orders, depth, ttl_s=120)
    for _ in range(depth // BATCH):
        await orders.claim_some(BATCH, lease_s=60, grace_s=0)
    orders.clock.advance(s=120)


async def popped(orders: QueueHandle, depth: int) -> None:
    await post_many(orders, depth)
    for _ in range(depth // BATCH):
        await orders.pop(BATCH)


async def purged(orders: QueueHandle, depth: int) -> None:
    await post_many(orders, depth, delay_s=60)
    await orders.purge()


FILLS = [
    claimed,
    delayed,
    expired,
    expired_delayed,
    expired_under_lapsed_leases,
    popped,
    purged,
]
each_fill = pytest.mark.parametrize("fill", FILLS)


@each_fill
async def test_what_stands_in_front_hides_nothing(
    orders: QueueHandle, harness: Harness, fill: Fill
) -> None:
    await fill(orders, harness.backend.depth)
    seqs = await orders.post(*new_messages(20))
    assert seqs_of((await orders.claim_some(5)).messages) == seqs[:5]
    assert await orders.pop(5) == seqs[5:10]
    page = await orders.page(limit=5)
    for _ in range(harness.backend.depth // 500):
        if not page.messages and page.next_seq is not None:
            page = await orders.page(after=page.next_seq, limit=5)
    assert seqs_of(page.messages) == seqs[10:15]
    newest = (await orders.stats()).newest
    assert newest is not None
    assert newest.seq == seqs[-1]


@each_fill
async def test_the_cost_does_not_grow_with_what_stands_in_front(
    orders: QueueHandle, harness: Harness, fill: Fill
) -> None:
    shallow = orders.on(queue="shallow")
    await shallow.create()
    for handle, depth in ((orders, harness.backend.depth), (shallow, BATCH)):
        await fill(handle, depth)
        await handle.post(*new_messages(60))
    for call in (_post, _claim_and_release, _pop):
        # NOTE: the first calls may pay for noticing what has expired; a claim drops it.
        await call(orders)
        base_ms = await fastest_ms(partial(call, shallow))
        deep_ms = await fastest_ms(partial(call, orders))
        assert deep_ms < 5 * base_ms + 3, f"{call.__name__}: {base_ms} -> {deep_ms}"


async def test_many_that_fall_due_at_once_come_in_order(
    orders: QueueHandle, harness: Harness
) -> None:
    depth = harness.backend.depth
    seqs: list[int] = []
    for first in range(0, depth, BATCH):
        delays = range(depth - first, depth - first - BATCH, -1)
        batch = [new_messages(1, delay_s=delay)[0] for delay in delays]
        seqs += await orders.post(*batch)
    orders.clock.advance(s=depth)
    assert seqs_of((await orders.claim_some(10)).messages) == seqs[:10]
    assert await orders.pop(10) == seqs[10:20]
    assert await orders.listed(limit=10) == seqs[20:30]


async def test_deleting_and_purging_do_not_wait_for_the_messages(
    orders: QueueHandle, harness: Harness
) -> None:
    start = time.perf_counter()
    await post_many(orders, harness.backend.depth)
    filling_s = time.perf_counter() - start
    start = time.perf_counter()
    await orders.purge()
    await orders.drop()
    assert time.perf_counter() - start < filling_s / 3 + 0.1


async def _post(orders: QueueHandle) -> None:
    await orders.post()


async def _claim_and_release(orders: QueueHandle) -> None:
    claim = await orders.claim_some(2)
    await orders.release(claim.id)


async def _pop(orders: QueueHandle) -> None:
    assert await orders.pop()
