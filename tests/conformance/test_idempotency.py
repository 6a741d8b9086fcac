"""Idempotency keys: a repeated write gives the first answer and changes nothing more."""

from __future__ import annotations

import asyncio

import pytest

from queues.errors import ClaimLost, IdempotencyKeyReused, QueueChanged
from tests.conformance.handle import QueueHandle, seqs_of
from tests.conformance.harness import Harness
from tests.factories import idempotency, new_message, new_messages


async def test_a_repeated_post_gives_the_same_sequences_and_stores_nothing(
    orders: QueueHandle,
) -> None:
    key = idempotency()
    first = await orders.post(*new_messages(3), idempotency=key)
    orders.clock.advance(s=10)
    assert await orders.post(*new_messages(3), idempotency=key) == first
    assert await orders.listed() == first
    assert await orders.counts() == (0, 3)


async def test_different_keys_are_different_posts(orders: QueueHandle) -> None:
    first = await orders.post(idempotency=idempotency("a"))
    second = await orders.post(idempotency=idempotency("b"))
    assert first < second
    assert await orders.listed() == first + second


async def test_a_repeated_post_remembers_messages_that_are_gone(orders: QueueHandle) -> None:
    key = idempotency()
    seqs = await orders.post(new_message(ttl_s=60), *new_messages(3), idempotency=key)
    orders.clock.advance(s=60)
    await orders.delete(seqs[1])
    await orders.pop(1)
    assert await orders.post(*new_messages(4), idempotency=key) == seqs
    assert await orders.listed() == [seqs[3]]


async def test_a_repeated_post_is_answered_whatever_the_version(orders: QueueHandle) -> None:
    key = idempotency()
    first = await orders.post(idempotency=key)
    await orders.update(b'{"a":1}', expected_version=1, version=2)
    assert await orders.post(idempotency=key) == first
    with pytest.raises(QueueChanged):
        await orders.post(idempotency=idempotency("other"))


async def test_a_refused_post_does_not_use_up_its_key(orders: QueueHandle) -> None:
    key = idempotency()
    with pytest.raises(QueueChanged):
        await orders.on(version=2).post(idempotency=key)
    first = await orders.post(idempotency=key)
    assert await orders.listed() == first


async def test_a_key_with_another_fingerprint_is_refused(orders: QueueHandle) -> None:
    seqs = await orders.post(idempotency=idempotency("k", "one"))
    with pytest.raises(IdempotencyKeyReused):
        await orders.post(idempotency=idempotency("k", "two"))
    with pytest.raises(IdempotencyKeyReused):
        await orders.claim(idempotency=idempotency("k", "claim"))
    assert await orders.listed() == seqs
    claim = await orders.claim_some(idempotency=idempotency("c", "one"))
    with pytest.raises(IdempotencyKeyReused):
        await orders.claim(idempotency=idempotency("c", "two"))
    with pytest.raises(IdempotencyKeyReused):
        await orders.renew(claim.id, idempotency=idempotency("c", "renew"))
    await orders.renew(claim.id, idempotency=idempotency("r", "one"))
    with pytest.raises(IdempotencyKeyReused):
        await orders.renew(claim.id, lease_s=600, idempotency=idempotency("r", "two"))
    assert await orders.get_claim(claim.id) == claim


@pytest.mark.parametrize("key", ["a", "A", "", " ", "k" * 255, "é\0{}:", "$x.y"])
async def test_keys_are_compared_whole(orders: QueueHandle, key: str) -> None:
    first = await orders.post(idempotency=idempotency(key))
    assert await orders.post(idempotency=idempotency(key)) == first
    assert await orders.post(idempotency=idempotency(key + "x")) != first
    assert len(await orders.listed()) == 2


async def test_keys_belong_to_one_queue_of_one_project(orders: QueueHandle) -> None:
    key = idempotency()
    for handle in (orders, orders.on(queue="other"), orders.on(project="beta")):
        await handle.create()
        seqs = await handle.post(idempotency=key)
        assert await handle.listed() == seqs
        assert await handle.post(idempotency=key) == seqs


async def test_a_repeated_claim_gives_the_same_claim(orders: QueueHandle) -> None:
    await orders.post(*new_messages(5))
    key = idempotency()
    first = await orders.claim_some(2, claim_id="c1", lease_s=60, idempotency=key)
    orders.clock.advance(s=10)
    assert await orders.claim(2, claim_id="c2", lease_s=60, idempotency=key) == first
    assert await orders.get_claim("c2") is None
    assert await orders.counts() == (2, 5)


async def test_a_repeated_claim_gives_what_is_left_of_it(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(3))
    key = idempotency()
    first = await orders.claim_some(2, idempotency=key)
    await orders.delete(seqs[0], claim_ids=[first.id])
    await orders.renew(first.id, lease_s=90)
    again = await orders.claim_some(2, idempotency=key)
    assert again == await orders.get_claim(first.id)
    assert seqs_of(again.messages) == [seqs[1]]
    await orders.release(first.id)
    assert await orders.claim(2, idempotency=key) is None
    assert await orders.counts() == (0, 2)


async def test_a_repeated_claim_after_its_lease_leases_nothing(orders: QueueHandle) -> None:
    await orders.post(*new_messages(2))
    key = idempotency()
    await orders.claim_some(1, lease_s=60, idempotency=key)
    orders.clock.advance(s=60)
    assert await orders.claim(1, idempotency=key) is None
    await orders.claim_some(1)
    assert await orders.claim(1, idempotency=key) is None
    assert await orders.counts() == (1, 2)


async def test_a_repeated_claim_is_answered_whatever_the_version(orders: QueueHandle) -> None:
    await orders.post()
    key = idempotency()
    first = await orders.claim_some(idempotency=key)
    await orders.update(b"{}", expected_version=1, version=2)
    assert await orders.claim(idempotency=key) == first


async def test_a_claim_on_nothing_does_not_use_up_its_key(orders: QueueHandle) -> None:
    key = idempotency()
    assert await orders.claim(idempotency=key) is None
    seqs = await orders.post()
    claim = await orders.claim_some(idempotency=key)
    assert seqs_of(claim.messages) == seqs


async def test_a_repeated_renewal_changes_nothing(orders: QueueHandle) -> None:
    await orders.post()
    claim = await orders.claim_some(lease_s=60)
    key = idempotency()
    orders.clock.advance(s=10)
    await orders.renew(claim.id, lease_s=100, idempotency=key)
    renewed = await orders.get_claim(claim.id)
    orders.clock.advance(s=10)
    await orders.renew(claim.id, lease_s=100, idempotency=key)
    assert await orders.get_claim(claim.id) == renewed
    orders.clock.advance(s=90)
    assert await orders.get_claim(claim.id) is None
    await orders.renew(claim.id, lease_s=100, idempotency=key)
    assert await orders.get_claim(claim.id) is None


async def test_a_refused_renewal_does_not_use_up_its_key(orders: QueueHandle) -> None:
    await orders.post()
    key = idempotency()
    with pytest.raises(ClaimLost):
        await orders.renew("c1", idempotency=key)
    await orders.claim_some(claim_id="c1", lease_s=60)
    orders.clock.advance(s=1)
    await orders.renew("c1", lease_s=60, idempotency=key)
    claim = await orders.get_claim("c1")
    assert claim is not None
    assert claim.leased_ms == orders.now_ms


async def test_a_key_is_forgotten_when_its_window_ends(orders: QueueHandle) -> None:
    first = await orders.post(idempotency=idempotency(window_s=60))
    orders.clock.advance(ms=59_999)
    assert await orders.post(idempotency=idempotency(window_s=60)) == first
    orders.clock.advance(ms=2)
    await orders.sweep_all()
    second = await orders.post(idempotency=idempotency("key-1", "new", window_s=60))
    assert second > first
    orders.clock.advance(ms=59_999)
    assert await orders.post(idempotency=idempotency("key-1", "new", window_s=60)) == second
    assert await orders.listed() == first + second


@pytest.mark.parametrize("sweep", [True, False], ids=["swept", "unswept"])
async def test_the_window_counts_from_the_first_use(orders: QueueHandle, sweep: bool) -> None:
    await orders.post(*new_messages(2))
    first = await orders.claim_some(1, lease_s=600, idempotency=idempotency(window_s=60))
    orders.clock.advance(s=50)
    assert await orders.claim(1, idempotency=idempotency(window_s=60)) == first
    orders.clock.advance(s=11)
    if sweep:
        await orders.sweep_all()
    second = await orders.claim_some(1, idempotency=idempotency(window_s=60))
    assert second.id != first.id
    assert await orders.counts() == (2, 2)


async def test_sweeping_keeps_keys_within_their_window(orders: QueueHandle) -> None:
    key = idempotency(window_s=60)
    first = await orders.post(new_message(ttl_s=30), idempotency=key)
    orders.clock.advance(s=59)
    await orders.sweep_all()
    assert await orders.post(new_message(ttl_s=30), idempotency=key) == first
    assert await orders.everything() == []


async def test_another_process_knows_the_key(orders: QueueHandle, harness: Harness) -> None:
    key = idempotency()
    seqs = await orders.post(*new_messages(2), idempotency=key)
    claim = await orders.claim_some(1, idempotency=idempotency("c"))
    other = orders.on(storage=await harness.another())
    assert await other.post(*new_messages(2), idempotency=key) == seqs
    assert await other.claim(1, idempotency=idempotency("c")) == claim
    await other.renew(claim.id, lease_s=300, idempotency=idempotency("r"))
    renewed = await orders.get_claim(claim.id)
    orders.clock.advance(s=1)
    await orders.renew(claim.id, lease_s=300, idempotency=idempotency("r"))
    assert await orders.get_claim(claim.id) == renewed
    assert await orders.counts() == (1, 2)


async def test_the_key_survives_closing_and_opening(
    orders: QueueHandle, harness: Harness
) -> None:
    key = idempotency()
    seqs = await orders.post(idempotency=key)
    await harness.close(orders.storage)
    again = orders.on(storage=await harness.another())
    assert await again.post(idempotency=key) == seqs
    assert await again.listed() == seqs


async def test_keys_survive_purge(orders: QueueHandle) -> None:
    await orders.post(*new_messages(2), idempotency=idempotency("p"))
    seqs = await orders.post(*new_messages(2), idempotency=idempotency("q"))
    await orders.claim_some(1, idempotency=idempotency("c"))
    await orders.purge()
    assert await orders.post(*new_messages(2), idempotency=idempotency("q")) == seqs
    assert await orders.claim(1, idempotency=idempotency("c")) is None
    assert await orders.everything() == []
    await orders.sweep_all()
    assert await orders.post(*new_messages(2), idempotency=idempotency("q")) == seqs
    assert await orders.everything() == []


async def test_keys_go_with_their_queue(orders: QueueHandle) -> None:
    key, claim_key = idempotency(), idempotency("c")
    first = await orders.post(idempotency=key)
    claim = await orders.claim_some(idempotency=claim_key)
    await orders.drop()
    with pytest.raises(QueueChanged):
        await orders.post(idempotency=key)
    await orders.create()
    second = await orders.post(idempotency=key)
    assert second > first
    assert await orders.listed() == second
    other = await orders.claim_some(idempotency=claim_key)
    assert other.id != claim.id
    assert seqs_of(other.messages) == second


async def test_of_concurrent_posts_with_one_key_one_has_an_effect(
    orders: QueueHandle, harness: Harness
) -> None:
    handles = [orders, orders.on(storage=await harness.another())]
    for round_number in range(10):
        key = idempotency(f"round-{round_number}")
        answers = await asyncio.gather(
            *(handles[n % 2].post(*new_messages(2), idempotency=key) for n in range(6))
        )
        assert answers == [answers[0]] * 6
        assert await orders.counts() == (0, 2 * (round_number + 1))


async def test_of_concurrent_claims_with_one_key_one_has_an_effect(
    orders: QueueHandle, harness: Harness
) -> None:
    handles = [orders, orders.on(storage=await harness.another())]
    await orders.post(*new_messages(50))
    for round_number in range(5):
        key = idempotency(f"round-{round_number}")
        claims = await asyncio.gather(
            *(handles[n % 2].claim(2, idempotency=key) for n in range(6))
        )
        assert claims == [claims[0]] * 6
        assert await orders.counts() == (2 * (round_number + 1), 50)
