"""Delayed messages: there, but not ready before their time."""

from __future__ import annotations

import pytest

from queues.model import Refusal
from tests.conformance.handle import QueueHandle, seqs_of
from tests.factories import new_message, new_messages


@pytest.mark.parametrize("sweep", [True, False], ids=["swept", "unswept"])
async def test_a_delay_ends_exactly_when_it_says(orders: QueueHandle, sweep: bool) -> None:
    (seq,) = await orders.post(new_message(delay_s=60))
    due_ms = orders.now_ms + 60_000
    orders.clock.advance(ms=59_999)
    if sweep:
        await orders.sweep_all()
    assert (await orders.get_one(seq)).visible_ms == due_ms
    assert await orders.listed() == []
    assert await orders.claim() is None
    assert await orders.pop() == []
    orders.clock.advance(ms=1)
    if sweep:
        await orders.sweep_all()
    assert (await orders.get_one(seq)).visible_ms == 0
    assert await orders.listed() == [seq]
    assert seqs_of((await orders.claim_some()).messages) == [seq]


async def test_a_delayed_message_is_counted_and_not_as_claimed(orders: QueueHandle) -> None:
    await orders.post(new_message(delay_s=60))
    assert await orders.counts() == (0, 1)


async def test_a_due_message_takes_its_place_in_posting_order(orders: QueueHandle) -> None:
    seqs = await orders.post(new_message(delay_s=30), *new_messages(2), new_message(delay_s=5))
    orders.clock.advance(s=30)
    assert await orders.listed() == seqs
    assert seqs_of((await orders.claim_some(1)).messages) == seqs[:1]
    assert await orders.pop(3) == seqs[1:]


async def test_due_order_does_not_matter_posting_order_does(orders: QueueHandle) -> None:
    seqs = await orders.post(*(new_message(delay_s=60 - n) for n in range(50)))
    orders.clock.advance(s=60)
    assert seqs_of((await orders.claim_some(5)).messages) == seqs[:5]
    assert await orders.pop(5) == seqs[5:10]
    assert await orders.listed(limit=5) == seqs[10:15]


async def test_a_delay_in_milliseconds_is_kept(orders: QueueHandle) -> None:
    (seq,) = await orders.post(new_message(delay_s=0.001))
    assert await orders.listed() == []
    orders.clock.advance(ms=1)
    assert await orders.listed() == [seq]


async def test_a_message_whose_delay_outlasts_its_life_is_never_ready(
    orders: QueueHandle,
) -> None:
    (seq,) = await orders.post(new_message(ttl_s=60, delay_s=90))
    assert seqs_of(await orders.get(seq)) == [seq]
    orders.clock.advance(s=60)
    assert await orders.everything() == []
    orders.clock.advance(s=30)
    assert await orders.claim() is None
    assert await orders.pop() == []
    assert await orders.everything() == []


async def test_a_delayed_message_can_be_deleted(orders: QueueHandle) -> None:
    a, b, c = await orders.post(*new_messages(3, delay_s=60))
    assert await orders.delete(a) == {}
    assert await orders.delete(b, claim_ids=[]) == {}
    assert await orders.delete(c, claim_ids=["c1"]) == {c: Refusal.NOT_CLAIMED}
    orders.clock.advance(s=60)
    assert await orders.listed() == [c]


async def test_the_delay_does_not_come_back_after_a_claim(orders: QueueHandle) -> None:
    (seq,) = await orders.post(new_message(delay_s=60))
    orders.clock.advance(s=60)
    claim = await orders.claim_some(lease_s=10)
    await orders.release(claim.id)
    assert await orders.listed() == [seq]
    await orders.claim_some(lease_s=10)
    assert await orders.listed(delayed=True) == []
    assert await orders.listed(claimed=True) == [seq]
    orders.clock.advance(s=10)
    assert await orders.listed() == [seq]


async def test_releasing_a_claim_leaves_delayed_messages_alone(orders: QueueHandle) -> None:
    seqs = await orders.post(new_message(), new_message(delay_s=60))
    claim = await orders.claim_some()
    await orders.release(claim.id)
    assert await orders.listed() == seqs[:1]
    assert seqs_of((await orders.claim_some()).messages) == seqs[:1]
