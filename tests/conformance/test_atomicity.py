"""Races: calls of two server processes at once, each seeing all of another or nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

import pytest

from queues.model import Claim, Refusal
from tests.conformance.handle import QueueHandle, seqs_of
from tests.conformance.harness import Harness
from tests.factories import dead_letters, new_message, new_messages


@pytest.fixture
async def pair(orders: QueueHandle, harness: Harness) -> list[QueueHandle]:
    """The same queue, through two processes' worth of storage."""
    return [orders, orders.on(storage=await harness.another())]


def leased(claims: Iterable[Claim | None]) -> list[int]:
    return [seq for claim in claims if claim for seq in seqs_of(claim.messages)]


def flat(lists: Iterable[list[int]]) -> list[int]:
    return [seq for seqs in lists for seq in seqs]


async def test_concurrent_claims_share_no_message_and_leave_none(
    pair: list[QueueHandle],
) -> None:
    seqs = await pair[0].post(*new_messages(100))
    claims = await asyncio.gather(*(pair[n % 2].claim(7) for n in range(20)))
    assert Counter(leased(claims)) == Counter(seqs)
    assert await pair[0].counts() == (100, 100)


async def test_claims_and_sweeps_at_once_take_lapsed_leases_once(
    pair: list[QueueHandle],
) -> None:
    seqs = await pair[0].post(*new_messages(30), *new_messages(30, delay_s=60))
    await pair[0].claim_some(30, lease_s=60)
    pair[0].clock.advance(s=60)
    sweeping = asyncio.gather(*(pair[n % 2].sweep(limit=5) for n in range(8)))
    claims = await asyncio.gather(*(pair[n % 2].claim(10) for n in range(8)))
    await sweeping
    assert Counter(leased(claims)) == Counter(seqs)
    assert await pair[0].counts() == (60, 60)


async def test_concurrent_pops_share_no_message_and_leave_none(pair: list[QueueHandle]) -> None:
    seqs = await pair[0].post(*new_messages(100))
    popped = await asyncio.gather(*(pair[n % 2].pop(7) for n in range(20)))
    assert Counter(flat(popped)) == Counter(seqs)
    assert await pair[0].counts() == (0, 0)


async def test_poppers_and_claimers_share_no_message(pair: list[QueueHandle]) -> None:
    seqs = await pair[0].post(*new_messages(60))
    claiming = asyncio.gather(*(pair[n % 2].claim(3) for n in range(10)))
    popping = asyncio.gather(*(pair[n % 2].pop(3) for n in range(10)))
    taken = leased(await claiming) + flat(await popping)
    assert Counter(taken) == Counter(seqs)


async def test_a_message_is_either_deleted_unclaimed_or_claimed_never_both(
    pair: list[QueueHandle],
) -> None:
    for _ in range(5):
        seqs = await pair[0].post(*new_messages(12))
        claiming = asyncio.gather(*(pair[n % 2].claim(3) for n in range(4)))
        deleting = asyncio.gather(
            *(pair[n % 2].delete(seq, claim_ids=[]) for n, seq in enumerate(seqs))
        )
        refused = {seq for refusal in await deleting for seq in refusal}
        assert set(leased(await claiming)) == refused
        assert seqs_of(await pair[1].everything()) == sorted(refused)
        await pair[0].purge()


async def test_of_concurrent_deletes_under_a_claim_all_succeed(pair: list[QueueHandle]) -> None:
    seqs = await pair[0].post(*new_messages(5))
    claim = await pair[0].claim_some()
    refused = await asyncio.gather(
        *(pair[n % 2].delete(*seqs, claim_ids=[claim.id]) for n in range(6))
    )
    assert refused == [{}] * 6
    assert await pair[0].counts() == (0, 0)


async def test_renewal_and_release_at_once_leave_one_state(pair: list[QueueHandle]) -> None:
    for _ in range(5):
        seqs = await pair[0].post(*new_messages(10))
        claim = await pair[0].claim_some()
        await asyncio.gather(
            pair[0].renew(claim.id, lease_s=600),
            pair[1].release(claim.id),
            return_exceptions=True,
        )
        held = await pair[0].get_claim(claim.id)
        assert held is None or seqs_of(held.messages) == seqs
        states = {(m.claim_id, m.visible_ms) for m in await pair[1].get(*seqs)}
        assert len(states) == 1
        await pair[0].purge()


async def test_of_concurrent_creations_exactly_one_creates(pair: list[QueueHandle]) -> None:
    for round_number in range(5):
        name = f"new-{round_number}"
        answers = await asyncio.gather(
            *(pair[n % 2].on(queue=name, version=n).create() for n in range(8))
        )
        assert sum(created for _, created in answers) == 1
        assert {queue for queue, _ in answers} == {answers[0][0]}
    assert await pair[0].storage.queues.count("alpha") == 6


async def test_of_concurrent_updates_exactly_one_succeeds(pair: list[QueueHandle]) -> None:
    answers = await asyncio.gather(
        *(
            pair[n % 2].update(b'{"n":%d}' % n, expected_version=1, version=10 + n)
            for n in range(8)
        ),
        return_exceptions=True,
    )
    (winner,) = [answer for answer in answers if not isinstance(answer, Exception)]
    assert await pair[0].describe() == winner


async def test_concurrent_claims_move_each_dead_letter_once(pair: list[QueueHandle]) -> None:
    seqs = await pair[0].post(*new_messages(60))
    claim = await pair[0].claim_some(60)
    await pair[0].release(claim.id)
    fresh = await pair[0].post(*new_messages(10))
    claims = await asyncio.gather(
        *(pair[n % 2].claim(2, dead_letter=dead_letters(version=n)) for n in range(8))
    )
    assert Counter(leased(claims)) == Counter(fresh)
    moved = await pair[1].on(queue="dead").everything()
    assert Counter(m.dead_letter.seq for m in moved if m.dead_letter) == Counter(seqs)
    assert await pair[0].counts() == (10, 10)


async def test_a_purge_among_posts_takes_batches_whole(pair: list[QueueHandle]) -> None:
    atomic = pair[0].storage.capabilities.atomic_batches
    for _ in range(5):
        posting = asyncio.gather(*(pair[n % 2].post(*new_messages(5)) for n in range(6)))
        await pair[0].purge()
        batches = await posting
        left = set(seqs_of(await pair[1].everything()))
        for batch in batches if atomic else []:
            assert left.issuperset(batch) or left.isdisjoint(batch)
        assert await pair[0].counts() == (0, len(left))
        await pair[0].purge()


async def test_a_post_into_a_queue_that_is_being_deleted_is_stored_or_refused(
    pair: list[QueueHandle],
) -> None:
    for version in range(2, 8):
        handles = [handle.on(queue="shaky", version=version) for handle in pair]
        await handles[0].create()
        posts = [handles[n % 2].post() for n in range(4)]
        await asyncio.gather(*posts, handles[1].drop(), return_exceptions=True)
        assert await handles[0].everything() == []
        assert await handles[0].counts() == (0, 0)


class Reader:
    """Pages through a queue by marker and keeps what it saw."""

    def __init__(self, handle: QueueHandle) -> None:
        self._handle = handle
        self._marker = 0
        self.seen: list[int] = []

    async def read_page(self) -> bool:
        page = await self._handle.page(after=self._marker, limit=7)
        self.seen += seqs_of(page.messages)
        self._marker = page.next_seq or self._marker
        return page.next_seq is not None

    async def read_until(self, writers: asyncio.Future[list[None]]) -> None:
        while not writers.done():
            await self.read_page()
            await asyncio.sleep(0)
        while await self.read_page():
            pass


async def test_a_paging_reader_misses_nothing_of_many_writers(pair: list[QueueHandle]) -> None:
    posted: list[int] = []

    async def write(number: int) -> None:
        for size in (1, 3, 10, 2, 4):
            batch = await pair[number % 2].post(*new_messages(size))
            assert batch == sorted(batch)
            posted.extend(batch)

    reader = Reader(pair[1])
    await reader.read_until(asyncio.gather(*(write(number) for number in range(12))))
    assert reader.seen == sorted(posted)
    assert len(set(posted)) == 12 * 20


async def test_a_paging_reader_misses_nothing_while_the_queue_is_created_anew(
    pair: list[QueueHandle],
) -> None:
    lasting: set[int] = set()

    async def write(handle: QueueHandle) -> None:
        for _ in range(4):
            lasting.update(await handle.post(new_message("lasting")))

    reader = Reader(pair[0])
    for version in range(2, 8):
        handles = [handle.on(version=version) for handle in pair]
        await handles[0].drop()
        await handles[1].create()
        lasting.clear()
        await reader.read_until(asyncio.gather(*(write(handles[n % 2]) for n in range(6))))
        assert lasting <= set(reader.seen)
    assert reader.seen == sorted(set(reader.seen))


async def test_refusals_under_contention_name_the_right_reason(pair: list[QueueHandle]) -> None:
    (seq,) = await pair[0].post()
    late = await pair[0].claim_some(lease_s=60)
    pair[0].clock.advance(s=60)
    refused, claim = await asyncio.gather(
        pair[0].delete(seq, claim_ids=[late.id]), pair[1].claim()
    )
    assert refused in ({seq: Refusal.NOT_CLAIMED}, {seq: Refusal.CLAIMED})
    assert claim is not None
