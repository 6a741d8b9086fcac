"""Expiry: an expired message is seen by no call, swept or not; sweeping comes to an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import product

import pytest

from queues.errors import ClaimLost
from queues.model import Stats
from tests.conformance.handle import QueueHandle, seqs_of
from tests.conformance.harness import Harness
from tests.factories import dead_letters, idempotency, new_message, new_messages

Do = Callable[[QueueHandle], Awaitable[object]]


async def nothing(orders: QueueHandle) -> None:
    """Leave expired messages to the driver's own attention."""


async def sweep_once(orders: QueueHandle) -> None:
    await orders.sweep(limit=1)


async def sweep_all(orders: QueueHandle) -> None:
    await orders.sweep_all()


SWEEPS = pytest.mark.parametrize("sweep", [nothing, sweep_once, sweep_all])


@SWEEPS
async def test_an_expired_message_is_seen_by_no_call(orders: QueueHandle, sweep: Do) -> None:
    seqs = await orders.post(*new_messages(3, ttl_s=60), new_message(ttl_s=60, delay_s=30))
    claim = await orders.claim_some(1, lease_s=50)
    orders.clock.advance(s=60)
    await sweep(orders)
    assert await orders.get(*seqs) == []
    assert await orders.everything() == []
    assert await orders.stats() == Stats(0, 0, None, None)
    assert await orders.claim() is None
    assert await orders.claim(dead_letter=dead_letters()) is None
    assert await orders.pop(10) == []
    assert await orders.get_claim(claim.id) is None
    with pytest.raises(ClaimLost):
        await orders.renew(claim.id)
    await orders.release(claim.id)
    assert await orders.delete(*seqs, claim_ids=[]) == {}
    assert await orders.delete(*seqs, claim_ids=[claim.id]) == {}
    assert await orders.everything() == []


@SWEEPS
async def test_an_expired_message_is_on_no_page_whatever_the_flags(
    orders: QueueHandle, sweep: Do
) -> None:
    (claimed,) = await orders.post()
    await orders.claim_some(1, lease_s=90)
    await orders.post(*new_messages(3, ttl_s=60))
    await orders.claim_some(1, lease_s=30)
    await orders.claim_some(1, lease_s=60, grace_s=0)
    await orders.post(*(new_message(ttl_s=60, delay_s=delay_s) for delay_s in (30, 60, 120)))
    ready, delayed = await orders.post(new_message(), new_message(delay_s=90))
    orders.clock.advance(s=60)
    await sweep(orders)
    for with_claimed, with_delayed, but_of in product(
        (False, True), (False, True), (None, "I")
    ):
        flags = {"claimed": with_claimed, "delayed": with_delayed, "but_of": but_of}
        living = [claimed] * with_claimed + [ready] + [delayed] * with_delayed
        assert await orders.listed(**flags) == living
        assert await orders.listed(limit=1, **flags) == living[:1]


@SWEEPS
async def test_a_message_lives_until_the_last_millisecond(
    orders: QueueHandle, sweep: Do
) -> None:
    (seq,) = await orders.post(new_message(ttl_s=60))
    orders.clock.advance(ms=59_999)
    await sweep(orders)
    assert await orders.listed() == [seq]
    assert await orders.counts() == (0, 1)
    orders.clock.advance(ms=1)
    await sweep(orders)
    assert await orders.listed() == []
    assert await orders.counts() == (0, 0)


@SWEEPS
async def test_expired_messages_hide_no_living_ones(orders: QueueHandle, sweep: Do) -> None:
    lives = [60, 3600, 60, 3600, 60]
    seqs = await orders.post(*(new_message(ttl_s=ttl_s) for ttl_s in lives))
    orders.clock.advance(s=60)
    await sweep(orders)
    assert await orders.listed() == [seqs[1], seqs[3]]
    assert await orders.listed(limit=1) == [seqs[1]]
    assert await orders.listed(after=seqs[1]) == [seqs[3]]
    assert seqs_of((await orders.claim_some(1)).messages) == [seqs[1]]
    assert await orders.pop(5) == [seqs[3]]


async def test_a_claim_sees_a_message_that_outlived_its_lease_only(
    orders: QueueHandle,
) -> None:
    seqs = await orders.post(new_message(ttl_s=60), new_message(ttl_s=3600))
    await orders.claim_some(2, lease_s=60, grace_s=0)
    orders.clock.advance(s=60)
    assert seqs_of((await orders.claim_some(2)).messages) == [seqs[1]]


async def test_sweep_counts_what_it_removed_and_comes_to_an_end(orders: QueueHandle) -> None:
    assert await orders.sweep_all() == 0
    await orders.post(*new_messages(25, ttl_s=60), *new_messages(5))
    assert await orders.sweep_all() == 0
    orders.clock.advance(s=60)
    counts = [await orders.sweep(limit=10) for _ in range(30)]
    assert max(counts) <= 10
    assert sum(counts) == 25
    assert await orders.sweep() == 0
    assert len(await orders.everything()) == 5


async def test_sweep_covers_all_queues_of_all_projects(orders: QueueHandle) -> None:
    handles = [
        orders.on(project=project, queue=queue)
        for project in ("alpha", "beta", "")
        for queue in ("one", "two", "three")
    ]
    for handle in handles:
        await handle.create()
        await handle.post(*new_messages(2, ttl_s=60), new_message(ttl_s=120))
    orders.clock.advance(s=60)
    assert await orders.sweep_all() == 2 * len(handles)
    assert [await handle.counts() for handle in handles] == [(0, 1)] * len(handles)


async def test_sweep_makes_nothing_ready_before_its_time(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(3), new_message(delay_s=60))
    claim = await orders.claim_some(3, lease_s=30)
    await orders.sweep_all()
    assert await orders.get_claim(claim.id) == claim
    assert await orders.listed(delayed=True) == seqs[3:]
    orders.clock.advance(s=30)
    await orders.sweep_all()
    assert await orders.listed() == seqs[:3]
    orders.clock.advance(s=30)
    await orders.sweep_all()
    assert await orders.listed() == seqs


async def test_sweep_clears_what_deletion_and_purge_left_behind(orders: QueueHandle) -> None:
    await orders.post(*new_messages(50), new_message(delay_s=60), idempotency=idempotency())
    await orders.claim_some(10)
    await orders.purge()
    kept = await orders.post(*new_messages(2))
    doomed = orders.on(queue="doomed")
    await doomed.create()
    await doomed.post(*new_messages(50))
    await doomed.drop()
    await orders.sweep_all()
    assert await orders.sweep() == 0
    assert await orders.listed() == kept
    assert await doomed.everything() == []


async def test_two_processes_may_sweep_at_the_same_time(
    orders: QueueHandle, harness: Harness
) -> None:
    other = orders.on(storage=await harness.another())
    await orders.post(*new_messages(40, ttl_s=60), *new_messages(5))
    orders.clock.advance(s=60)
    for _ in range(20):
        await asyncio.gather(orders.sweep(limit=5), other.sweep(limit=5))
    assert await orders.sweep() == 0
    assert await orders.counts() == (0, 5)
    assert len(await orders.everything()) == 5
