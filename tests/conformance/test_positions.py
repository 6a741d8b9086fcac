"""Positions: numbers of messages, the tail of a queue, and what reaches its time next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from queues.errors import QueueChanged
from queues.ids import first_sequence
from queues.model import Message, Position
from queues.storage import Storage
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle, seqs_of
from tests.conformance.harness import Harness
from tests.factories import dead_letters, idempotency, new_message, new_messages


@pytest.fixture
async def pair(orders: QueueHandle, harness: Harness) -> list[QueueHandle]:
    """The same queue, through two processes' worth of storage."""
    return [orders, orders.on(storage=await harness.another())]


def position(message: Message) -> Position:
    return Position(message.seq, message.number)


async def test_an_absent_queue_is_at_the_beginning(orders: QueueHandle) -> None:
    assert await orders.on(queue="absent").tail() == (0, 0)
    assert await orders.on(project="stranger").tail() == (0, 0)
    await orders.post()
    await orders.drop()
    assert await orders.tail() == (0, 0)


async def test_before_the_first_message_the_tail_is_one_less(orders: QueueHandle) -> None:
    before = await orders.tail()
    (seq,) = await orders.post()
    first = await orders.get_one(seq)
    assert before.number == first.number - 1
    assert before.seq < first.seq


async def test_sequences_begin_above_the_second_of_creation(
    storage: Storage, clock: MovableClock
) -> None:
    jobs = QueueHandle(storage, clock, queue="jobs")
    for ms in (0, 1, 999):
        clock.advance(ms=(ms - clock.now_ms()) % 1000)
        await jobs.create()
        (seq,) = await jobs.post()
        assert seq > first_sequence(clock.now_ms())
        assert await jobs.tail() >= (first_sequence(clock.now_ms()), 0)
        await jobs.drop()


async def test_the_tail_is_the_last_message_that_was_posted(pair: list[QueueHandle]) -> None:
    for number in range(4):
        seqs = await pair[number % 2].post(*new_messages(3), new_message(delay_s=60))
        last = await pair[0].get_one(seqs[-1])
        assert await pair[0].tail() == position(last)
        assert await pair[1].tail() == position(last)


async def test_numbers_grow_by_one(pair: list[QueueHandle]) -> None:
    start = (await pair[0].tail()).number
    for number in range(6):
        await pair[number % 2].post(*new_messages(number + 1))
    found = await pair[1].everything()
    assert [m.number - start for m in found] == list(range(1, 22))


async def test_every_call_shows_the_same_number(orders: QueueHandle) -> None:
    seqs = await orders.post(*new_messages(5))
    numbers = {message.seq: message.number for message in await orders.everything()}
    claim = await orders.claim_some(2)
    held = await orders.get_claim(claim.id)
    stats = await orders.stats()
    assert held is not None
    assert stats.oldest is not None
    assert stats.newest is not None
    seen = [*claim.messages, *held.messages, stats.oldest, stats.newest]
    seen += await orders.get(*seqs)
    seen += await orders.pop_messages(2)
    await orders.release(claim.id)
    seen += (await orders.page()).messages
    assert {m.seq for m in seen} == set(seqs)
    assert [m.number for m in seen] == [numbers[m.seq] for m in seen]


async def delete(orders: QueueHandle) -> None:
    await orders.delete(*seqs_of(await orders.everything()))


async def pop(orders: QueueHandle) -> None:
    assert len(await orders.pop(100)) == 5


async def purge(orders: QueueHandle) -> None:
    await orders.purge()


async def expire(orders: QueueHandle) -> None:
    orders.clock.advance(s=60)
    await orders.sweep_all()


@pytest.mark.parametrize("remove", [delete, pop, purge, expire])
async def test_what_is_gone_still_counts(
    orders: QueueHandle, remove: Callable[[QueueHandle], Awaitable[None]]
) -> None:
    await orders.post(*new_messages(5, ttl_s=60))
    before = await orders.tail()
    await remove(orders)
    assert await orders.everything() == []
    assert await orders.tail() == before
    (seq,) = await orders.post()
    assert (await orders.get_one(seq)).number == before.number + 1
    assert await orders.tail() == (seq, before.number + 1)


async def test_what_stores_nothing_does_not_count(orders: QueueHandle) -> None:
    await orders.post(*new_messages(3), idempotency=idempotency())
    before = await orders.tail()
    await orders.post(*new_messages(3), idempotency=idempotency())
    with pytest.raises(QueueChanged):
        await orders.on(version=2).post(*new_messages(3))
    claim = await orders.claim_some()
    await orders.renew(claim.id)
    await orders.release(claim.id)
    await orders.update(b"{}", expected_version=1, version=2)
    await orders.on(queue="another").create()
    await orders.on(queue="another").post()
    assert await orders.tail() == before


async def test_a_dead_letter_counts_where_it_arrives(orders: QueueHandle) -> None:
    dead = orders.on(queue="dead")
    await dead.create()
    await dead.post(*new_messages(2))
    await orders.post(*new_messages(4))
    before, source = await dead.tail(), await orders.tail()
    claim = await orders.claim_some(3)
    await orders.release(claim.id)
    (left,) = (await orders.claim_some(dead_letter=dead_letters())).messages
    found = await dead.everything()
    start = found[0].number
    assert [m.number - start for m in found] == [0, 1, 2, 3, 4]
    assert await dead.tail() == position(found[-1])
    assert (await dead.tail()).number == before.number + 3
    assert await orders.tail() == source == position(left)


async def test_a_queue_created_anew_counts_from_its_own_beginning(orders: QueueHandle) -> None:
    await orders.post(*new_messages(3))
    old = await orders.tail()
    await orders.drop()
    await orders.create()
    start = await orders.tail()
    seqs = await orders.post(*new_messages(2))
    assert min(seqs) > max(old.seq, start.seq)
    assert [m.number - start.number for m in await orders.everything()] == [1, 2]
    assert (await orders.tail()).seq == seqs[-1]


async def test_who_has_read_up_to_the_tail_has_missed_nothing(pair: list[QueueHandle]) -> None:
    start = (await pair[0].tail()).number

    async def write(writer: int) -> None:
        for number in range(12):
            await pair[writer % 2].post(*new_messages(1 + (writer + number) % 3))
            await asyncio.sleep(0)

    writing = asyncio.gather(*map(write, range(8)))
    looks: list[tuple[Position, list[int]]] = []
    while not writing.done():
        reader = pair[len(looks) % 2]
        tail = await reader.tail()
        looks.append((tail, seqs_of(await reader.everything())))
        await asyncio.sleep(0)
    await writing
    found = await pair[0].everything()
    assert await pair[1].tail() == position(found[-1])
    assert [m.number - start for m in found] == list(range(1, len(found) + 1))
    for tail, seen in looks:
        before = [m for m in found if m.seq <= tail.seq]
        assert len(before) == tail.number - start
        assert [seq for seq in seen if seq <= tail.seq] == seqs_of(before)
    tails = [tail for tail, _ in looks]
    assert tails == sorted(tails)


async def test_the_tail_stays_where_it_is_when_the_store_is_opened_again(
    orders: QueueHandle, harness: Harness
) -> None:
    await orders.post(*new_messages(3))
    await orders.pop(3)
    before = await orders.tail()
    await harness.close(orders.storage)
    again = orders.on(storage=await harness.another())
    assert await again.tail() == before
    (seq,) = await again.post()
    assert (await again.get_one(seq)).number == before.number + 1


async def test_nothing_is_next_where_nothing_waits(orders: QueueHandle) -> None:
    assert await orders.on(queue="absent").next_due() is None
    assert await orders.next_due() is None
    await orders.post(*new_messages(3))
    assert await orders.next_due() is None
    await orders.pop(1)
    assert await orders.next_due() is None
    await orders.post(new_message(delay_s=60))
    assert await orders.on(project="stranger").next_due() is None
    await orders.purge()
    assert await orders.next_due() is None


async def test_the_next_is_the_end_of_a_delay_or_a_lease(pair: list[QueueHandle]) -> None:
    one, other = pair
    start = one.now_ms
    await one.post(new_message(), new_message(delay_s=900), new_message(delay_s=300.001))
    assert await other.next_due() == start + 300_001
    claim = await one.claim_some(1, lease_s=100.5)
    assert await other.next_due() == start + 100_500
    one.clock.advance(s=10)
    await one.renew(claim.id, lease_s=50)
    assert await other.next_due() == start + 60_000


async def test_an_end_that_came_to_nothing_is_next_until_its_time_at_the_most(
    pair: list[QueueHandle],
) -> None:
    one, other = pair
    start = one.now_ms
    gone, _ = await one.post(new_message(delay_s=60), new_message(delay_s=300))
    await one.post(new_message())
    claim = await one.claim_some(1, lease_s=100)
    await one.renew(claim.id, lease_s=200)
    await one.release(claim.id)
    await other.delete(gone)
    due_ms = await one.next_due()
    assert due_ms is not None
    assert due_ms <= start + 300_000
    one.clock.advance(s=200)
    assert len(await other.pop(10)) == 1
    await other.sweep_all()
    assert await one.next_due() == start + 300_000
    one.clock.advance(s=100)
    assert len(await other.pop(10)) == 1
    await other.sweep_all()
    assert await one.next_due() is None


async def test_what_reached_its_time_does_not_hide_what_comes_next(orders: QueueHandle) -> None:
    start = orders.now_ms
    await orders.post(new_message(delay_s=10), new_message(delay_s=90))
    orders.clock.advance(s=10)
    due_ms = await orders.next_due()
    assert due_ms is not None
    assert due_ms <= orders.now_ms or due_ms == start + 90_000
    assert len(await orders.pop(10)) == 1
    assert await orders.next_due() == start + 90_000


async def post(queue: QueueHandle, dice: Random) -> None:
    delays = [dice.choice([0, 0, 5, 30]) for _ in range(dice.randint(1, 3))]
    await queue.post(*(new_message(delay_s=s, ttl_s=dice.choice([20, 600])) for s in delays))


async def claim(queue: QueueHandle, dice: Random) -> None:
    policy = dice.choice([None, dead_letters("dead", max_claims=2)])
    lease_s = dice.choice([10, 40])
    await queue.claim(dice.randint(1, 3), lease_s=lease_s, grace_s=0, dead_letter=policy)


async def delete_some(queue: QueueHandle, dice: Random) -> None:
    found = await queue.everything()
    await queue.delete(*seqs_of(dice.sample(found, min(2, len(found)))))


async def end_or_renew(queue: QueueHandle, dice: Random) -> None:
    for claim_id in sorted({m.claim_id for m in await queue.everything() if m.claim_id}):
        await dice.choice([queue.renew, queue.release])(claim_id)


async def pass_time(queue: QueueHandle, dice: Random) -> None:
    queue.clock.advance(s=dice.choice([1, 5, 10]))


STEPS: dict[Callable[[QueueHandle, Random], Awaitable[object]], int] = {
    post: 4,
    claim: 4,
    delete_some: 1,
    end_or_renew: 2,
    lambda queue, dice: queue.pop(dice.randint(1, 2)): 1,
    lambda queue, dice: queue.purge(): 1,
    lambda queue, dice: queue.sweep(limit=2): 1,
    pass_time: 3,
}


async def check_positions(queue: QueueHandle, start: int, posted: list[int]) -> None:
    """Check them, and note in `posted` what came since the last time."""
    found = await queue.everything()
    posted += [m.seq for m in found if not posted or m.seq > posted[-1]]
    assert [m.number - start for m in found] == [posted.index(m.seq) + 1 for m in found]
    if posted:
        assert await queue.tail() == (posted[-1], start + len(posted))
    due_ms = await queue.next_due()
    ends = [m.visible_ms for m in found if 0 < m.visible_ms < m.expires_ms]
    if ends:
        assert due_ms is not None
        assert due_ms <= min(ends)


@pytest.mark.parametrize("seed", range(5))
async def test_numbers_are_right_and_the_next_is_never_late_whatever_happens(
    pair: list[QueueHandle], seed: int
) -> None:
    dice = Random(seed)
    dead = [queue.on(queue="dead") for queue in pair]
    await dead[0].create()
    starts = [(await pair[0].tail()).number, (await dead[0].tail()).number]
    posted: list[list[int]] = [[], []]
    for step in dice.choices(list(STEPS), weights=list(STEPS.values()), k=60):
        await step(dice.choice(pair), dice)
        await check_positions(dice.choice(pair), starts[0], posted[0])
        await check_positions(dice.choice(dead), starts[1], posted[1])
    pair[0].clock.advance(s=600)
    await pair[0].sweep_all()
    for queue in (*pair, *dead):
        assert await queue.next_due() is None
