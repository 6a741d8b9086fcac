"""Messages outside of claims: post, list, get, delete and pop."""

from __future__ import annotations

import pytest

from queues.errors import QueueChanged
from queues.model import Media, Message, Refusal
from queues.storage import HIDDEN_PER_LISTING
from tests.conformance.handle import QueueHandle, seqs_of
from tests.conformance.harness import Harness
from tests.factories import new_message, new_messages

ME, YOU = "client-me", "client-you"


async def test_a_posted_message_comes_back_as_it_is(orders: QueueHandle) -> None:
    (seq,) = await orders.post(new_message('{"a": 1}', ttl_s=60))
    expected = Message(
        seq=seq,
        posted_ms=orders.now_ms,
        ttl_s=60,
        expires_ms=orders.now_ms + 60_000,
        body=b'{"a": 1}',
        media=Media.JSON,
        claim_id=None,
        claim_count=0,
        visible_ms=0,
        dead_letter=None,
        number=(await orders.get_one(seq)).number,
        sealed=orders.storage.capabilities.encrypts,
    )
    assert await orders.get(seq) == [expected]
    assert list((await orders.page()).messages) == [expected]


@pytest.mark.parametrize("media", list(Media))
async def test_bodies_are_kept_byte_for_byte(orders: QueueHandle, media: Media) -> None:
    if media is Media.SEALED and orders.storage.capabilities.encrypts:
        pytest.skip("what calls itself sealed was sealed by this storage")
    texts = (b"", b"\0", b"null", b'"\xc3\xa9\\u0000"')
    for body in (*texts, bytes(range(256)), b"x" * 300_000):
        (seq,) = await orders.post(new_message(body, media=media))
        for message in (await orders.get_one(seq), (await orders.page()).messages[0]):
            assert isinstance(message.body, bytes)
            assert (message.body, message.media) == (body, media)
        await orders.delete(seq)


async def test_sequences_ascend_in_the_given_order(orders: QueueHandle) -> None:
    first = await orders.post(*new_messages(5))
    second = await orders.post(*new_messages(5))
    assert first + second == sorted(set(first + second))
    assert [m.body for m in await orders.get(*first)] == [b"0", b"1", b"2", b"3", b"4"]


async def test_sequences_fit_a_double(orders: QueueHandle) -> None:
    (seq,) = await orders.post()
    assert 0 < seq < 2**53


async def test_messages_of_one_post_have_their_own_ttl_and_delay(orders: QueueHandle) -> None:
    seqs = await orders.post(
        new_message(ttl_s=60), new_message(ttl_s=120, delay_s=30), new_message(ttl_s=180)
    )
    found = await orders.get(*seqs)
    assert [m.ttl_s for m in found] == [60, 120, 180]
    assert [m.expires_ms - orders.now_ms for m in found] == [60_000, 120_000, 180_000]
    assert [m.visible_ms for m in found] == [0, orders.now_ms + 30_000, 0]


async def test_a_refused_post_stores_nothing(orders: QueueHandle) -> None:
    with pytest.raises(QueueChanged):
        await orders.on(version=2).post(*new_messages(3))
    assert await orders.everything() == []
    assert await orders.counts() == (0, 0)


async def test_list_pages_forward_and_ends_without_a_marker(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(5))
    first = await orders.page(limit=2)
    assert (seqs_of(first.messages), first.next_seq) == (seqs[:2], seqs[1])
    second = await orders.page(after=seqs[1], limit=2)
    assert (seqs_of(second.messages), second.next_seq) == (seqs[2:4], seqs[3])
    third = await orders.page(after=seqs[3], limit=2)
    assert (seqs_of(third.messages), third.next_seq) == (seqs[4:], seqs[4])
    end = await orders.page(after=seqs[4], limit=2)
    assert (list(end.messages), end.next_seq) == ([], None)


async def test_a_marker_keeps_its_place_when_its_message_is_gone(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(4))
    await orders.delete(*seqs[:3])
    assert await orders.listed(after=seqs[1]) == [seqs[3]]
    assert await orders.listed(after=seqs[0] - 1) == [seqs[3]]


async def test_a_reader_at_the_end_sees_what_comes_next(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(2))
    await orders.delete(*seqs)
    later = await orders.post()
    assert await orders.listed(after=seqs[-1]) == later


async def test_list_leaves_out_claimed_and_delayed_unless_told(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(3), new_message(delay_s=60))
    await orders.claim_some(2)
    assert await orders.listed() == [seqs[2]]
    assert await orders.listed(claimed=True) == seqs[:3]
    assert await orders.listed(delayed=True) == seqs[2:]
    assert await orders.listed(claimed=True, delayed=True) == seqs


async def test_claimed_messages_in_between_do_not_shorten_a_page(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(10))
    await orders.claim_some(2)
    assert await orders.listed(limit=3) == seqs[2:5]
    assert await orders.listed(after=seqs[0], limit=3) == seqs[2:5]


async def test_list_leaves_out_the_callers_own_messages_when_asked(orders: QueueHandle) -> None:
    seqs = await orders.post(
        *(new_message(client_id=client) for client in (ME, YOU, ME, YOU, ME))
    )
    assert await orders.listed(but_of=ME) == [seqs[1], seqs[3]]
    assert await orders.listed(but_of=YOU) == [seqs[0], seqs[2], seqs[4]]
    assert await orders.listed(but_of="nobody") == seqs
    page = await orders.page(but_of=ME, limit=1)
    assert (seqs_of(page.messages), page.next_seq) == ([seqs[1]], seqs[1])


async def test_client_ids_are_compared_whole(orders: QueueHandle) -> None:
    seqs = await orders.post(*(new_message(client_id=c) for c in ("a", "ab", "A", "", "a\0")))
    for position, client in enumerate(("a", "ab", "A", "", "a\0")):
        assert await orders.listed(but_of=client) == seqs[:position] + seqs[position + 1 :]


async def test_a_page_of_nothing_but_hidden_messages_is_empty(orders: QueueHandle) -> None:
    await orders.post(*new_messages(3, client_id=ME))
    page = await orders.page(but_of=ME)
    assert (list(page.messages), page.next_seq) == ([], None)


async def hide_by_lease(orders: QueueHandle, hidden: int) -> dict[str, object]:
    for _ in range(0, hidden, 100):
        await orders.post(*new_messages(100))
    for _ in range(0, hidden, 100):
        await orders.claim_some(100)
    return {}


async def hide_by_delay(orders: QueueHandle, hidden: int) -> dict[str, object]:
    for _ in range(0, hidden, 100):
        await orders.post(*new_messages(100, delay_s=60))
    return {}


async def hide_by_echo(orders: QueueHandle, hidden: int) -> dict[str, object]:
    for _ in range(0, hidden, 100):
        await orders.post(*new_messages(100, client_id=ME))
    return {"but_of": ME}


@pytest.mark.parametrize("hide", [hide_by_lease, hide_by_delay, hide_by_echo])
async def test_more_hidden_messages_than_the_bound_put_nothing_out_of_reach(
    orders: QueueHandle, harness: Harness, hide: object
) -> None:
    hidden = max(harness.backend.depth, HIDDEN_PER_LISTING + 100)
    flags = await hide(orders, hidden)  # type: ignore[operator]
    visible = await orders.post(*new_messages(3, client_id=YOU))
    found: list[int] = []
    marker, pages = 0, 0
    while (page := await orders.page(after=marker, limit=2, **flags)).next_seq is not None:
        assert page.next_seq > marker
        assert page.next_seq >= max(seqs_of(page.messages), default=0)
        found += seqs_of(page.messages)
        marker, pages = page.next_seq, pages + 1
        assert pages <= 2 + hidden // 500
    assert found == visible


async def test_get_returns_what_exists_in_the_order_asked(orders: QueueHandle) -> None:
    a, b, c = await orders.post(*new_messages(3))
    assert seqs_of(await orders.get(c, a, b)) == [c, a, b]
    assert seqs_of(await orders.get(c, c + 1000, a)) == [c, a]
    assert await orders.get(c + 1, c + 2, 2**53 - 1) == []
    assert await orders.get() == []


async def test_get_shows_messages_in_every_state(orders: QueueHandle) -> None:
    delayed, ready, claimed = await orders.post(
        new_message(delay_s=60), new_message(delay_s=30), new_message()
    )
    claim = await orders.claim_some()
    orders.clock.advance(s=30)
    found = {m.seq: m for m in await orders.get(delayed, ready, claimed)}
    assert (found[delayed].claim_id, found[delayed].visible_ms) == (
        None,
        orders.now_ms + 30_000,
    )
    assert (found[ready].claim_id, found[ready].visible_ms) == (None, 0)
    assert (found[claimed].claim_id, found[claimed].visible_ms) == (
        claim.id,
        orders.now_ms + 30_000,
    )
    assert found[claimed].claim_count == 1


async def test_delete_without_conditions_removes_messages_in_every_state(
    orders: QueueHandle,
) -> None:
    seqs = await orders.post(*new_messages(2), new_message(delay_s=60))
    await orders.claim_some(1)
    kept = await orders.post()
    assert await orders.delete(*seqs) == {}
    assert seqs_of(await orders.everything()) == kept
    assert await orders.counts() == (0, 1)


async def test_a_repeated_delete_succeeds(orders: QueueHandle) -> None:
    (seq,) = await orders.post()
    assert await orders.delete(seq) == {}
    assert await orders.delete(seq) == {}
    assert await orders.delete(seq, claim_ids=[]) == {}
    assert await orders.delete(seq, claim_ids=["gone"]) == {}
    assert await orders.delete(seq + 1) == {}


async def test_delete_of_unclaimed_only_spares_what_is_claimed(orders: QueueHandle) -> None:
    claimed, ready, delayed = await orders.post(*new_messages(2), new_message(delay_s=60))
    await orders.claim_some(1)
    refused = await orders.delete(claimed, ready, delayed, claim_ids=[])
    assert refused == {claimed: Refusal.CLAIMED}
    assert seqs_of(await orders.everything()) == [claimed]


async def test_delete_under_a_claim_takes_only_what_that_claim_holds(
    orders: QueueHandle,
) -> None:
    mine, other, ready, delayed = await orders.post(*new_messages(3), new_message(delay_s=60))
    claim = await orders.claim_some(1)
    await orders.claim_some(1)
    refused = await orders.delete(mine, other, ready, delayed, claim_ids=[claim.id])
    assert refused == {
        other: Refusal.CLAIMED,
        ready: Refusal.NOT_CLAIMED,
        delayed: Refusal.NOT_CLAIMED,
    }
    assert seqs_of(await orders.everything()) == [other, ready, delayed]


async def test_delete_may_name_several_claims(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(3))
    first, second, _ = [await orders.claim_some(1) for _ in seqs]
    refused = await orders.delete(*seqs, claim_ids=[first.id, "no-claim", second.id])
    assert refused == {seqs[2]: Refusal.CLAIMED}
    assert seqs_of(await orders.everything()) == seqs[2:]


async def test_pop_takes_the_lowest_ready_messages(orders: QueueHandle) -> None:
    seqs = await orders.post(new_message(delay_s=60), *new_messages(5))
    await orders.claim_some(2)
    assert await orders.pop(2) == seqs[3:5]
    assert await orders.pop(10) == seqs[5:]
    assert await orders.pop(10) == []
    assert seqs_of(await orders.everything()) == seqs[:3]


async def test_pop_returns_whole_messages_and_removes_them(orders: QueueHandle) -> None:
    (seq,) = await orders.post(new_message("1"))
    claim = await orders.claim_some()
    await orders.release(claim.id)
    before = await orders.get_one(seq)
    assert await orders.pop_messages() == [before]
    assert before.claim_count == 1
    assert await orders.get(seq) == []
    assert await orders.counts() == (0, 0)
