"""Turns at a lane: nobody who rings is missed, and nobody works on what another has."""

from __future__ import annotations

import pytest

from queues.lanes import Lane, read
from queues.model import Record, RecordKind
from queues.operations.agenda import LEASE_MS
from queues.operations.lanes import Lanes
from queues.operations.turns import LaneLost, Turn
from queues.subscriptions import State, Subscription
from tests.clock import MovableClock
from tests.operations.calls import PROJECT, QUEUE
from tests.transport.faults import FaultyStorage

START, LATER = Lane(after="k1"), Lane(after="k2")


@pytest.fixture
def subscription(clock: MovableClock) -> Subscription:
    return Subscription("s", "http://x/", 3600, clock.now_ms(), {}, State.NEW, (), ())


@pytest.fixture
def lane_book(storage: FaultyStorage, clock: MovableClock) -> Lanes:
    return Lanes(storage, clock)


async def take(storage: FaultyStorage, clock: MovableClock) -> Turn:
    (taken,) = await storage.records.take(limit=9, lease_ms=LEASE_MS, now_ms=clock.now_ms())
    assert taken.record.kind is RecordKind.LANE
    return Turn(storage, clock, taken)


async def found(lane_book: Lanes) -> Record:
    record = await lane_book.find(PROJECT, QUEUE, "s")
    assert record is not None
    return record


async def test_who_rings_while_a_lane_is_worked_on_is_not_missed(
    lane_book: Lanes, storage: FaultyStorage, clock: MovableClock, subscription: Subscription
) -> None:
    await lane_book.open(PROJECT, QUEUE, subscription, START)
    turn = await take(storage, clock)
    for _ in range(2):
        await lane_book.ring(PROJECT, QUEUE, "s")
    assert not await turn.rest(LATER, None), "somebody rang, so there is another look"
    assert (await found(lane_book)).due_ms == clock.now_ms() + LEASE_MS
    assert await turn.rest(LATER, None)
    settled = await found(lane_book)
    assert (settled.due_ms, read(settled)) == (None, LATER)
    await lane_book.ring(PROJECT, QUEUE, "s")
    assert (await found(lane_book)).due_ms == clock.now_ms()


async def test_a_lease_is_renewed_though_somebody_rings_or_prolongs(
    lane_book: Lanes, storage: FaultyStorage, clock: MovableClock, subscription: Subscription
) -> None:
    await lane_book.open(PROJECT, QUEUE, subscription, START)
    turn = await take(storage, clock)
    expires_ms = subscription.expires_ms + 5
    await lane_book.ring(PROJECT, QUEUE, "s")
    await lane_book.keep(PROJECT, QUEUE, "s", expires_ms=expires_ms)
    clock.advance(ms=7)
    await turn.go_on(LATER)
    renewed = await found(lane_book)
    assert (renewed.due_ms, renewed.expires_ms) == (clock.now_ms() + LEASE_MS, expires_ms)
    assert read(renewed) == LATER
    assert await turn.rest(LATER, None)


async def test_a_lane_that_somebody_else_has_is_left_to_them(
    lane_book: Lanes, storage: FaultyStorage, clock: MovableClock, subscription: Subscription
) -> None:
    await lane_book.open(PROJECT, QUEUE, subscription, START)
    slow = await take(storage, clock)
    clock.advance(ms=LEASE_MS + 1)
    quick = await take(storage, clock)
    with pytest.raises(LaneLost):
        await slow.go_on(LATER)
    with pytest.raises(LaneLost):
        await slow.rest(LATER, None)
    assert await quick.rest(LATER, None)


async def test_a_lane_that_is_opened_again_begins_anew_and_is_looked_at(
    lane_book: Lanes, storage: FaultyStorage, clock: MovableClock, subscription: Subscription
) -> None:
    await lane_book.open(PROJECT, QUEUE, subscription, LATER)
    turn = await take(storage, clock)
    clock.advance(ms=1)
    await lane_book.open(PROJECT, QUEUE, subscription, START)
    with pytest.raises(LaneLost):
        await turn.rest(LATER, None)
    opened = await found(lane_book)
    assert (opened.due_ms, read(opened)) == (clock.now_ms(), START)


async def test_a_lane_that_is_closed_is_left(
    lane_book: Lanes, storage: FaultyStorage, clock: MovableClock, subscription: Subscription
) -> None:
    await lane_book.open(PROJECT, QUEUE, subscription, START)
    turn = await take(storage, clock)
    taken = await found(lane_book)
    await lane_book.close(PROJECT, taken)
    with pytest.raises(LaneLost):
        await turn.go_on(LATER)
    for step in (lane_book.ring(PROJECT, QUEUE, "s"), lane_book.close(PROJECT, taken)):
        await step


async def test_a_lane_that_was_opened_again_is_not_closed(
    lane_book: Lanes, clock: MovableClock, subscription: Subscription
) -> None:
    await lane_book.open(PROJECT, QUEUE, subscription, START)
    before = await found(lane_book)
    await lane_book.open(PROJECT, QUEUE, subscription, LATER)
    await lane_book.close(PROJECT, before)
    assert read(await found(lane_book)) == LATER
