"""Encrypted messages in the eyes of a store without keys: kept, moved, leased, never popped."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from queues.errors import MessageSealed
from queues.model import Media, NewMessage
from tests.conformance.handle import QueueHandle, seqs_of
from tests.conformance.harness import Harness
from tests.factories import HOUR_S, dead_letters, new_message, new_messages

LONG = b"x" * 300_000


def sealed(body: bytes = b"sealed", *, ttl_s: int = HOUR_S, delay_s: float = 0) -> NewMessage:
    return new_message(body, media=Media.SEALED, ttl_s=ttl_s, delay_s=delay_s)


async def pop_or_refusal(orders: QueueHandle, limit: int) -> list[int] | None:
    try:
        return await orders.pop(limit)
    except MessageSealed:
        return None


@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("body", [b"", b"sealed", LONG], ids=["empty", "short", "long"])
async def test_a_pop_is_refused_when_the_first_message_is_sealed(
    orders: QueueHandle, limit: int, body: bytes
) -> None:
    await orders.post(sealed(body), *new_messages(2), sealed())
    before = await orders.everything()
    for _ in range(2):
        with pytest.raises(MessageSealed):
            await orders.pop(limit)
    assert await orders.everything() == before
    assert await orders.counts() == (0, 4)


@pytest.mark.parametrize(
    "body", [b"1", b"\2" * 200, LONG], ids=["short", "of bytes that mean sealed", "long"]
)
async def test_a_pop_ends_before_the_first_sealed_message(
    orders: QueueHandle, body: bytes
) -> None:
    seqs = await orders.post(
        *(new_message(body, media=media) for media in (Media.JSON, Media.MSGPACK, Media.JSON)),
        sealed(),
        *new_messages(2),
    )
    assert await orders.pop(2) == seqs[:2]
    assert await orders.pop(10) == seqs[2:3]
    with pytest.raises(MessageSealed):
        await orders.pop(10)
    assert seqs_of(await orders.everything()) == seqs[3:]
    usage = await orders.storage.quotas.usage(orders.project, now_ms=orders.now_ms)
    assert (usage.messages, usage.body_bytes) == (3, len(b"sealed") + 2)


async def test_a_sealed_message_behind_the_limit_stops_nobody(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(3), sealed())
    assert await orders.pop(3) == seqs[:3]


async def test_a_sealed_message_that_is_not_ready_stops_nobody(orders: QueueHandle) -> None:
    leased, *hidden = await orders.post(sealed(), sealed(delay_s=60), sealed(ttl_s=5))
    await orders.claim_some(1, lease_s=60)
    orders.clock.advance(s=5)
    seqs = await orders.post(*new_messages(2))
    assert await orders.pop(10) == seqs
    assert await orders.pop(10) == []
    assert seqs_of(await orders.everything()) == [leased, hidden[0]]


async def release(orders: QueueHandle) -> None:
    claim = await orders.claim_some(1)
    await orders.release(claim.id)


async def let_lapse(orders: QueueHandle) -> None:
    await orders.claim_some(1, claim_id="a-claim-with-a-long-name", lease_s=60)
    orders.clock.advance(s=60)


async def let_come_due(orders: QueueHandle) -> None:
    orders.clock.advance(s=30)


@pytest.mark.parametrize("change", [release, let_lapse, let_come_due])
async def test_a_sealed_message_that_is_ready_again_stops_the_pop(
    orders: QueueHandle, change: object
) -> None:
    delay_s = 30 if change is let_come_due else 0
    seqs = await orders.post(sealed(delay_s=delay_s), new_message(delay_s=delay_s))
    await change(orders)  # type: ignore[operator]
    with pytest.raises(MessageSealed):
        await orders.pop(10)
    assert await orders.listed() == seqs


async def test_a_plain_message_whose_lease_lapsed_is_popped(orders: QueueHandle) -> None:
    seqs = await orders.post(new_message(), sealed())
    await let_lapse(orders)
    assert await orders.pop(10) == seqs[:1]


async def test_a_sealed_dead_letter_stops_the_pop(orders: QueueHandle) -> None:
    await orders.post(new_message("1"), sealed(), new_message("2"))
    await orders.claim_some(3, lease_s=60)
    orders.clock.advance(s=60)
    assert await orders.claim(3, dead_letter=dead_letters()) is None
    dead = orders.on(queue="dead")
    first, *rest = seqs_of(await dead.everything())
    assert await dead.pop(10) == [first]
    with pytest.raises(MessageSealed):
        await dead.pop(10)
    assert seqs_of(await dead.everything()) == rest
    assert (await dead.get_one(rest[0])).media is Media.SEALED


async def test_a_sealed_message_can_be_claimed_and_deleted_as_any_other(
    orders: QueueHandle,
) -> None:
    seqs = await orders.post(sealed(), new_message())
    claim = await orders.claim_some(1)
    assert [(m.seq, m.media) for m in claim.messages] == [(seqs[0], Media.SEALED)]
    assert await orders.delete(seqs[0], claim_ids=[claim.id]) == {}
    assert await orders.pop(10) == seqs[1:]


async def test_concurrent_pops_take_each_message_before_the_sealed_one_once(
    orders: QueueHandle, harness: Harness
) -> None:
    pair = [orders, orders.on(storage=await harness.another())]
    seqs = await orders.post(*new_messages(50), sealed(), *new_messages(50))
    popped = await asyncio.gather(*(pop_or_refusal(pair[n % 2], 7) for n in range(20)))
    assert None in popped
    assert Counter(seq for seqs in popped for seq in seqs or ()) == Counter(seqs[:50])
    assert seqs_of(await orders.everything()) == seqs[50:]
