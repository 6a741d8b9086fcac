"""Dead letters: what is moved, what it remembers, and that no move is lost or doubled."""

from __future__ import annotations

import pytest

from queues.model import DeadLetter, DeadLetterReason, Queue
from queues.storage import DEAD_LETTERS_PER_CLAIM
from tests.conformance.handle import QueueHandle, seqs_of
from tests.factories import dead_letters, idempotency, new_message, new_messages


@pytest.fixture
async def dead(orders: QueueHandle) -> QueueHandle:
    """The dead-letter queue, which does not exist yet."""
    return orders.on(queue="dead", version=77)


async def exhaust(orders: QueueHandle, *, claims: int = 1) -> None:
    """Claim and release all messages that are ready, several times."""
    for _ in range(claims):
        claim = await orders.claim_some(100_000)
        await orders.release(claim.id)


async def test_an_exhausted_message_is_moved_instead_of_leased(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    (seq,) = await orders.post(new_message("1", ttl_s=600, client_id="me"))
    posted = await orders.get_one(seq)
    orders.clock.advance(s=5)
    await exhaust(orders, claims=3)
    orders.clock.advance(s=5)
    assert await orders.claim(dead_letter=dead_letters(max_claims=3)) is None
    assert await orders.everything() == []
    assert await orders.counts() == (0, 0)
    (moved,) = await dead.everything()
    origin = DeadLetter("orders", seq, DeadLetterReason.MAX_CLAIM_COUNT, 3, orders.now_ms)
    assert moved == posted._replace(seq=moved.seq, number=moved.number, dead_letter=origin)
    assert await dead.counts() == (0, 1)


async def test_a_message_is_claimed_as_often_as_the_policy_says(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    await orders.post()
    for _ in range(3):
        await orders.claim_some(lease_s=60, dead_letter=dead_letters(max_claims=3))
        orders.clock.advance(s=60)
    assert await orders.claim(dead_letter=dead_letters(max_claims=3)) is None
    assert len(await dead.everything()) == 1


async def test_without_a_policy_nothing_is_moved(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    (seq,) = await orders.post()
    await exhaust(orders, claims=9)
    assert seqs_of((await orders.claim_some()).messages) == [seq]
    assert await dead.describe() is None


async def test_moved_messages_do_not_count_towards_the_limit(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    spent = await orders.post(*new_messages(3))
    await exhaust(orders)
    fresh = await orders.post(*new_messages(3))
    claim = await orders.claim_some(2, dead_letter=dead_letters())
    assert seqs_of(claim.messages) == fresh[:2]
    moved = await dead.everything()
    assert [m.dead_letter.seq for m in moved if m.dead_letter] == spent
    assert seqs_of(await orders.everything()) == fresh


async def test_moves_stop_behind_the_last_message_leased(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    a, b, c = await orders.post(new_message(), new_message(delay_s=10), new_message())
    await exhaust(orders)
    orders.clock.advance(s=10)
    claim = await orders.claim_some(1, dead_letter=dead_letters())
    assert seqs_of(claim.messages) == [b]
    assert [m.dead_letter.seq for m in await dead.everything() if m.dead_letter] == [a]
    assert await orders.listed() == [c]


async def test_the_dead_letter_queue_is_created_with_the_version_of_the_policy(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    await orders.post()
    await exhaust(orders)
    assert await dead.describe() is None
    await orders.claim(dead_letter=dead_letters(version=77))
    assert await dead.describe() == Queue("dead", b"{}", 77, orders.now_ms)
    listed = await orders.storage.queues.list("alpha", marker="", limit=10)
    assert [queue.name for queue in listed] == ["dead", "orders"]
    assert await orders.storage.queues.count("alpha") == 2
    assert await dead.post()


async def test_an_existing_dead_letter_queue_is_left_as_it_is(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    before, _ = await dead.create(b'{"a":1}')
    (older,) = await dead.post()
    await orders.post()
    await exhaust(orders)
    await orders.claim(dead_letter=dead_letters(version=5))
    assert await dead.describe() == before
    assert [m.seq > older for m in await dead.everything()] == [False, True]


async def test_the_policy_may_set_the_remaining_life(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    await orders.post(new_message(ttl_s=600))
    await exhaust(orders)
    orders.clock.advance(s=500)
    await orders.claim(dead_letter=dead_letters(ttl_s=3600))
    (moved,) = await dead.everything()
    assert (moved.ttl_s, moved.expires_ms) == (3600, orders.now_ms + 3_600_000)
    orders.clock.advance(ms=3_599_999)
    assert len(await dead.everything()) == 1
    orders.clock.advance(ms=1)
    assert await dead.everything() == []


async def test_without_a_life_of_its_own_a_moved_message_keeps_its_expiry(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    await orders.post(new_message(ttl_s=600))
    await exhaust(orders)
    orders.clock.advance(s=500)
    await orders.claim(dead_letter=dead_letters())
    (moved,) = await dead.everything()
    assert (moved.ttl_s, moved.expires_ms) == (600, orders.now_ms + 100_000)
    orders.clock.advance(s=100)
    assert await dead.everything() == []


async def test_an_expiry_extended_by_claims_is_kept_in_the_move(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    await orders.post(new_message(ttl_s=60))
    claim = await orders.claim_some(lease_s=120, grace_s=60)
    await orders.release(claim.id)
    await orders.claim(dead_letter=dead_letters())
    (moved,) = await dead.everything()
    assert (moved.ttl_s, moved.expires_ms) == (180, orders.now_ms + 180_000)


async def test_a_dead_letter_is_a_message_like_any_other(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    await orders.post(*new_messages(3, client_id="me"))
    await exhaust(orders)
    await orders.claim(dead_letter=dead_letters())
    assert await dead.listed(but_of="me") == []
    a, b, c = await dead.listed()
    claim = await dead.claim_some(1)
    (leased,) = claim.messages
    assert (leased.seq, leased.claim_count) == (a, 1)
    assert leased.dead_letter is not None
    assert await dead.delete(a, claim_ids=[claim.id]) == {}
    assert await dead.pop() == [b]
    assert await dead.listed() == [c]


async def test_a_dead_letter_may_be_moved_on_and_names_its_last_origin(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    await orders.post()
    await exhaust(orders)
    await orders.claim(dead_letter=dead_letters())
    (first,) = await dead.everything()
    await exhaust(dead, claims=2)
    await dead.claim(dead_letter=dead_letters("grave", max_claims=2))
    (second,) = await orders.on(queue="grave").everything()
    origin = DeadLetter("dead", first.seq, DeadLetterReason.MAX_CLAIM_COUNT, 2, orders.now_ms)
    assert second.dead_letter == origin
    assert await dead.everything() == []


async def test_a_reader_of_the_dead_letter_queue_misses_no_move(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    await dead.create()
    (marker,) = await dead.post()
    for body in ("a", "b", "c"):
        await orders.post(new_message(body))
        await exhaust(orders)
        await orders.claim(dead_letter=dead_letters())
        page = await dead.page(after=marker)
        assert [m.body for m in page.messages] == [body.encode()]
        assert page.next_seq is not None
        marker = page.next_seq


async def test_a_claim_moves_no_more_than_its_bound(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    spent = 2 * DEAD_LETTERS_PER_CLAIM + 50
    seqs = await orders.post(*new_messages(spent))
    await exhaust(orders)
    fresh = await orders.post()
    for moved in (DEAD_LETTERS_PER_CLAIM, 2 * DEAD_LETTERS_PER_CLAIM):
        assert await orders.claim(5, dead_letter=dead_letters()) is None
        assert await dead.counts() == (0, moved)
    claim = await orders.claim_some(5, dead_letter=dead_letters())
    assert seqs_of(claim.messages) == fresh
    letters = [m.dead_letter for m in await dead.everything()]
    assert [letter.seq for letter in letters if letter] == seqs


async def test_expired_messages_are_not_moved(orders: QueueHandle, dead: QueueHandle) -> None:
    await orders.post(new_message(ttl_s=120))
    await exhaust(orders)
    orders.clock.advance(s=120)
    assert await orders.claim(dead_letter=dead_letters()) is None
    assert await dead.everything() == []


async def test_a_repeated_claim_moves_nothing(orders: QueueHandle, dead: QueueHandle) -> None:
    await orders.post(*new_messages(2))
    claim = await orders.claim_some(1)
    await orders.release(claim.id)
    key = idempotency()
    first = await orders.claim_some(1, dead_letter=dead_letters(), idempotency=key)
    assert await dead.counts() == (0, 1)
    await orders.release(first.id)
    assert await orders.claim(1, dead_letter=dead_letters(), idempotency=key) is None
    assert await dead.counts() == (0, 1)
    assert await orders.counts() == (0, 1)


async def test_sweeping_after_moves_neither_loses_nor_doubles(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    await orders.post(*new_messages(5))
    await exhaust(orders)
    await orders.claim(dead_letter=dead_letters())
    before = await dead.everything()
    await orders.sweep_all()
    assert await dead.everything() == before
    assert await orders.everything() == []


async def test_deleting_the_source_leaves_its_dead_letters(
    orders: QueueHandle, dead: QueueHandle
) -> None:
    await orders.post(*new_messages(3))
    await exhaust(orders)
    await orders.claim(dead_letter=dead_letters())
    await orders.drop()
    await orders.sweep_all()
    assert len(await dead.everything()) == 3
