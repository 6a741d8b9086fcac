"""Claims: who gets what, for how long, and what is refused once the lease is lost."""

from __future__ import annotations

import pytest

from queues.errors import ClaimLost
from queues.model import Claim, Refusal
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle, seqs_of
from tests.factories import new_message, new_messages


async def test_a_claim_leases_the_lowest_ready_messages(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(5))
    first = await orders.claim_some(2)
    second = await orders.claim_some(2)
    third = await orders.claim_some(2)
    assert [seqs_of(c.messages) for c in (first, second, third)] == [
        seqs[:2],
        seqs[2:4],
        seqs[4:],
    ]
    assert await orders.claim(2) is None


async def test_a_claim_shows_its_lease_and_its_messages(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(2, ttl_s=3600))
    before = await orders.get(*seqs)
    start_ms = orders.clock.advance(s=1)
    claim = await orders.claim_some(claim_id="c1", lease_s=30, grace_s=60)
    leased = [
        m._replace(claim_id="c1", claim_count=1, visible_ms=start_ms + 30_000) for m in before
    ]
    assert claim._replace(messages=leased) == Claim("c1", 30_000, start_ms, leased)
    assert list(claim.messages) == leased
    assert await orders.get(*seqs) == leased
    orders.clock.advance(s=10)
    again = await orders.get_claim("c1")
    assert again is not None
    assert again._replace(messages=leased) == Claim("c1", 30_000, start_ms, leased)
    assert list(again.messages) == leased


async def test_a_claim_on_nothing_leaves_no_trace(orders: QueueHandle) -> None:
    await orders.post(new_message(delay_s=60))
    assert await orders.claim(claim_id="c1") is None
    assert await orders.get_claim("c1") is None
    with pytest.raises(ClaimLost):
        await orders.renew("c1")


async def test_released_messages_are_ready_again_in_their_old_place(
    orders: QueueHandle,
) -> None:
    seqs = await orders.post(*new_messages(3))
    claim = await orders.claim_some(2)
    await orders.release(claim.id)
    assert await orders.get_claim(claim.id) is None
    found = await orders.get(*seqs)
    assert [(m.claim_id, m.visible_ms, m.claim_count) for m in found] == [
        (None, 0, 1),
        (None, 0, 1),
        (None, 0, 0),
    ]
    assert await orders.listed() == seqs
    assert seqs_of((await orders.claim_some(3)).messages) == seqs


async def test_release_of_an_unknown_or_ended_claim_is_no_error(orders: QueueHandle) -> None:
    await orders.post()
    claim = await orders.claim_some(lease_s=60)
    await orders.release("unknown")
    orders.clock.advance(s=60)
    await orders.release(claim.id)
    other = await orders.claim_some()
    await orders.release(claim.id)
    assert await orders.get_claim(other.id) is not None


async def test_a_lease_ends_exactly_when_it_says(orders: QueueHandle) -> None:
    (seq,) = await orders.post()
    claim = await orders.claim_some(lease_s=60)
    orders.clock.advance(ms=59_999)
    assert await orders.claim() is None
    assert await orders.get_claim(claim.id) is not None
    orders.clock.advance(ms=1)
    assert await orders.get_claim(claim.id) is None
    assert await orders.listed() == [seq]
    message = await orders.get_one(seq)
    assert (message.claim_id, message.visible_ms, message.claim_count) == (None, 0, 1)
    assert seqs_of((await orders.claim_some()).messages) == [seq]


async def test_lapsed_messages_come_before_later_ones(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(4))
    await orders.claim_some(1, lease_s=90)
    await orders.claim_some(1, lease_s=30)
    orders.clock.advance(s=30)
    assert seqs_of((await orders.claim_some(2)).messages) == [seqs[1], seqs[2]]
    orders.clock.advance(s=60)
    assert seqs_of((await orders.claim_some(10)).messages) == seqs


async def test_every_claim_counts_and_renewal_does_not(orders: QueueHandle) -> None:
    (seq,) = await orders.post()
    for count in range(1, 4):
        claim = await orders.claim_some(lease_s=60)
        assert claim.messages[0].claim_count == count
        await orders.renew(claim.id)
        assert (await orders.get_one(seq)).claim_count == count
        if count == 2:
            await orders.release(claim.id)
        else:
            orders.clock.advance(s=60)
    assert (await orders.get_one(seq)).claim_count == 3


@pytest.mark.parametrize(
    ("ttl_s", "ttl_after_s", "expires_after_s"),
    [(60, 130, 130), (89, 130, 130), (90, 90, 90), (91, 91, 91), (3600, 3600, 3600)],
)
async def test_a_claim_extends_only_messages_that_would_expire_under_it(
    orders: QueueHandle, ttl_s: int, ttl_after_s: int, expires_after_s: int
) -> None:
    (seq,) = await orders.post(new_message(ttl_s=ttl_s))
    claim = await orders.claim_some(lease_s=90, grace_s=40)
    for message in (claim.messages[0], await orders.get_one(seq)):
        assert message.ttl_s == ttl_after_s
        assert message.expires_ms == orders.now_ms + expires_after_s * 1000


async def test_extension_counts_from_the_claim_not_from_the_post(orders: QueueHandle) -> None:
    (seq,) = await orders.post(new_message(ttl_s=100))
    orders.clock.advance(s=50)
    await orders.claim_some(lease_s=60, grace_s=30)
    message = await orders.get_one(seq)
    assert message.ttl_s == 90
    assert message.expires_ms == orders.now_ms + 90_000
    orders.clock.advance(s=60)
    assert await orders.listed() == [seq]
    orders.clock.advance(ms=29_999)
    assert await orders.listed() == [seq]
    orders.clock.advance(ms=1)
    assert await orders.listed() == []


async def test_each_message_of_a_claim_is_extended_by_itself(orders: QueueHandle) -> None:
    seqs = await orders.post(*(new_message(ttl_s=ttl_s) for ttl_s in (60, 3600, 80)))
    await orders.claim_some(lease_s=70, grace_s=60)
    assert [m.ttl_s for m in await orders.get(*seqs)] == [130, 3600, 80]


@pytest.mark.parametrize("lease_s", [10, 60, 600], ids=["shorter", "equal", "longer"])
async def test_renewal_starts_the_lease_anew(orders: QueueHandle, lease_s: int) -> None:
    seqs = await orders.post(*new_messages(2))
    claim = await orders.claim_some(lease_s=60)
    orders.clock.advance(s=20)
    await orders.renew(claim.id, lease_s=lease_s)
    renewed = await orders.get_claim(claim.id)
    assert renewed is not None
    assert (renewed.lease_ms, renewed.leased_ms) == (lease_s * 1000, orders.now_ms)
    assert [m.visible_ms for m in renewed.messages] == [orders.now_ms + lease_s * 1000] * 2
    orders.clock.advance(ms=lease_s * 1000 - 1)
    assert await orders.claim() is None
    orders.clock.advance(ms=1)
    assert await orders.get_claim(claim.id) is None
    assert seqs_of((await orders.claim_some()).messages) == seqs


async def test_renewal_extends_expiry_like_a_claim(orders: QueueHandle) -> None:
    seqs = await orders.post(new_message(ttl_s=100), new_message(ttl_s=3600))
    claim = await orders.claim_some(lease_s=60, grace_s=60)
    orders.clock.advance(s=50)
    await orders.renew(claim.id, lease_s=51, grace_s=40)
    short, long = await orders.get(*seqs)
    assert (short.ttl_s, short.expires_ms) == (91, orders.now_ms + 91_000)
    assert (long.ttl_s, long.expires_ms) == (3600, orders.now_ms + 3_550_000)


async def test_a_shorter_renewal_never_shortens_expiry(orders: QueueHandle) -> None:
    (seq,) = await orders.post(new_message(ttl_s=60))
    claim = await orders.claim_some(lease_s=120, grace_s=60)
    before = await orders.get_one(seq)
    await orders.renew(claim.id, lease_s=10, grace_s=0)
    after = await orders.get_one(seq)
    assert (after.ttl_s, after.expires_ms) == (before.ttl_s, before.expires_ms)


async def test_renewal_covers_only_what_the_claim_still_holds(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(3))
    claim = await orders.claim_some(2, lease_s=60)
    await orders.delete(seqs[0], claim_ids=[claim.id])
    await orders.renew(claim.id, lease_s=600)
    held = await orders.get_claim(claim.id)
    assert held is not None
    assert seqs_of(held.messages) == [seqs[1]]
    orders.clock.advance(s=300)
    assert seqs_of((await orders.claim_some()).messages) == [seqs[2]]


async def test_a_claim_ends_with_its_last_message(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(2))
    claim = await orders.claim_some()
    await orders.delete(*seqs, claim_ids=[claim.id])
    assert await orders.get_claim(claim.id) is None
    with pytest.raises(ClaimLost):
        await orders.renew(claim.id)


async def test_a_late_renewal_is_refused_and_changes_nothing(orders: QueueHandle) -> None:
    (seq,) = await orders.post()
    late = await orders.claim_some(lease_s=60)
    orders.clock.advance(s=60)
    with pytest.raises(ClaimLost):
        await orders.renew(late.id)
    assert await orders.listed() == [seq]
    other = await orders.claim_some(lease_s=60)
    held = await orders.get_claim(other.id)
    with pytest.raises(ClaimLost):
        await orders.renew(late.id, lease_s=600)
    assert await orders.get_claim(other.id) == held


async def test_renewal_of_a_released_or_unknown_claim_is_refused(orders: QueueHandle) -> None:
    await orders.post()
    claim = await orders.claim_some()
    await orders.release(claim.id)
    for claim_id in (claim.id, "unknown"):
        with pytest.raises(ClaimLost):
            await orders.renew(claim_id)


async def test_a_late_delete_is_refused(orders: QueueHandle) -> None:
    (seq,) = await orders.post()
    late = await orders.claim_some(lease_s=60)
    orders.clock.advance(s=60)
    assert await orders.delete(seq, claim_ids=[late.id]) == {seq: Refusal.NOT_CLAIMED}
    other = await orders.claim_some()
    assert await orders.delete(seq, claim_ids=[late.id]) == {seq: Refusal.CLAIMED}
    assert await orders.delete(seq, claim_ids=[other.id]) == {}


async def test_a_lapsed_lease_no_longer_guards_against_delete(orders: QueueHandle) -> None:
    (seq,) = await orders.post()
    await orders.claim_some(lease_s=60)
    assert await orders.delete(seq, claim_ids=[]) == {seq: Refusal.CLAIMED}
    orders.clock.advance(s=60)
    assert await orders.delete(seq, claim_ids=[]) == {}
    assert await orders.everything() == []


async def test_claims_of_two_queues_do_not_touch_even_under_one_id(
    orders: QueueHandle,
) -> None:
    other = orders.on(queue="other")
    await other.create()
    (seq,) = await orders.post()
    (other_seq,) = await other.post()
    await orders.claim_some(claim_id="same")
    assert await other.get_claim("same") is None
    await other.claim_some(claim_id="same")
    await orders.release("same")
    held = await other.get_claim("same")
    assert held is not None
    assert seqs_of(held.messages) == [other_seq]
    assert await orders.listed() == [seq]
    assert await other.listed() == []


async def test_messages_posted_during_a_claim_are_not_part_of_it(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(2))
    claim = await orders.claim_some(10)
    await orders.post()
    held = await orders.get_claim(claim.id)
    assert held is not None
    assert seqs_of(held.messages) == seqs


@pytest.mark.parametrize("ttl_s", [60, 30], ids=["life ends with lease", "extended to it"])
async def test_a_lease_guards_a_message_that_ends_with_it(
    orders: QueueHandle, ttl_s: int
) -> None:
    (seq,) = await orders.post(new_message(ttl_s=ttl_s))
    claim = await orders.claim_some(lease_s=60, grace_s=0)
    orders.clock.advance(ms=59_999)
    assert await orders.get_claim(claim.id) == claim
    assert await orders.counts() == (1, 1)
    assert await orders.listed() == []
    assert await orders.claim() is None
    assert await orders.delete(seq, claim_ids=[]) == {seq: Refusal.CLAIMED}
    assert await orders.delete(seq, claim_ids=["other"]) == {seq: Refusal.CLAIMED}
    await orders.renew(claim.id, lease_s=60, grace_s=0)
    assert await orders.delete(seq, claim_ids=[claim.id]) == {}
    assert await orders.everything() == []


async def test_a_renewal_by_a_clock_that_is_behind_leaves_nothing_for_a_second_claim(
    orders: QueueHandle,
) -> None:
    behind = orders.on(clock=MovableClock())
    await behind.post()
    claim = await behind.claim_some(lease_s=60)
    orders.clock.advance(s=61)
    assert len(await orders.listed()) == 1
    try:
        await behind.renew(claim.id, lease_s=600)
        is_renewed = True
    except ClaimLost:
        is_renewed = False
    assert (await orders.claim() is None) == is_renewed
    assert await orders.counts() == (1, 1)
    assert await orders.pop() == []
