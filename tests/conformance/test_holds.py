"""Holds: leases on chosen messages, which are no claims."""

from __future__ import annotations

import asyncio

import pytest

from queues.errors import ClaimLost
from queues.model import Refusal
from tests.conformance.handle import QueueHandle, seqs_of
from tests.conformance.harness import Harness
from tests.factories import new_message, new_messages


async def test_a_hold_leases_what_was_named_and_nothing_else(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(4))
    held = await orders.hold(seqs[2], seqs[0], claim_id="h", lease_s=30)
    assert seqs_of(held) == [seqs[0], seqs[2]]
    assert {(m.claim_id, m.visible_ms) for m in held} == {("h", orders.now_ms + 30_000)}
    assert await orders.listed() == [seqs[1], seqs[3]]
    assert await orders.counts() == (2, 4)
    claim = await orders.get_claim("h")
    assert claim is not None
    assert claim.messages == held


async def test_a_hold_counts_no_claim_and_extends_no_life(orders: QueueHandle) -> None:
    (seq,) = await orders.post(new_message(ttl_s=60))
    before = await orders.get_one(seq)
    (held,) = await orders.hold(seq, lease_s=3600)
    assert held == before._replace(claim_id="holder", visible_ms=orders.now_ms + 3_600_000)
    orders.clock.advance(s=60)
    assert await orders.everything() == []


async def test_what_is_not_ready_is_not_held(orders: QueueHandle) -> None:
    claimed, delayed, gone, expired = await orders.post(
        new_message(), new_message(delay_s=100), new_message(), new_message(ttl_s=60)
    )
    await orders.delete(gone)
    orders.clock.advance(s=60)
    assert seqs_of((await orders.claim_some(1)).messages) == [claimed]
    assert await orders.hold(claimed, delayed, gone, expired, 1) == []


async def test_a_lapsed_lease_and_a_delay_that_is_over_do_not_stand_in_the_way(
    orders: QueueHandle,
) -> None:
    seqs = await orders.post(new_message(), new_message(delay_s=60))
    await orders.claim_some(1, lease_s=60)
    orders.clock.advance(s=60)
    assert seqs_of(await orders.hold(*seqs)) == seqs
    assert await orders.counts() == (2, 2)


async def test_held_messages_end_like_claimed_ones(orders: QueueHandle) -> None:
    first, second, third = await orders.post(*new_messages(3))
    await orders.hold(first, second, third, claim_id="h", lease_s=60)
    assert await orders.delete(first, claim_ids=["other"]) == {first: Refusal.CLAIMED}
    assert await orders.delete(first, claim_ids=["h"]) == {}
    await orders.release("h")
    assert await orders.listed() == [second, third]
    await orders.hold(second, claim_id="h", lease_s=60)
    orders.clock.advance(s=60)
    assert await orders.listed() == [second, third]


async def test_a_second_hold_joins_the_first(orders: QueueHandle) -> None:
    first, second = await orders.post(*new_messages(2))
    await orders.hold(first, claim_id="h")
    await orders.hold(second, claim_id="h")
    claim = await orders.get_claim("h")
    assert claim is not None
    assert seqs_of(claim.messages) == [first, second]


async def test_nothing_is_held_in_an_absent_queue(orders: QueueHandle) -> None:
    (seq,) = await orders.post()
    assert await orders.on(queue="absent").hold(seq) == []
    assert await orders.on(project="beta").hold(seq) == []
    assert await orders.listed() == [seq]


async def test_concurrent_holds_and_claims_share_no_message(
    orders: QueueHandle, harness: Harness
) -> None:
    twin = orders.on(storage=await harness.another())
    seqs = await orders.post(*new_messages(30))
    held = await asyncio.gather(
        *(orders.hold(*seqs, claim_id=f"a{n}") for n in range(5)),
        *(twin.hold(*seqs, claim_id=f"b{n}") for n in range(5)),
    )
    claims = await asyncio.gather(*(orders.claim(10) for _ in range(3)))
    taken = [seq for messages in held for seq in seqs_of(messages)]
    taken += [seq for claim in claims if claim for seq in seqs_of(claim.messages)]
    assert sorted(taken) == seqs


async def test_a_held_message_that_expires_is_gone_though_the_lease_goes_on(
    orders: QueueHandle,
) -> None:
    short, long = await orders.post(new_message(ttl_s=60), new_message(ttl_s=3600))
    await orders.hold(short, long, claim_id="h", lease_s=600)
    orders.clock.advance(s=60)
    assert await orders.counts() == (1, 1)
    claim = await orders.get_claim("h")
    assert claim is not None
    assert seqs_of(claim.messages) == [long]
    await orders.renew("h", lease_s=600)
    assert seqs_of(await orders.everything()) == [long]
    await orders.release("h")
    assert await orders.counts() == (0, 1)


async def test_a_claim_whose_held_messages_have_all_expired_is_lost(
    orders: QueueHandle,
) -> None:
    (seq,) = await orders.post(new_message(ttl_s=60))
    await orders.hold(seq, claim_id="h", lease_s=600)
    orders.clock.advance(s=60)
    assert await orders.get_claim("h") is None
    with pytest.raises(ClaimLost):
        await orders.renew("h")
    assert await orders.get(seq) == []
