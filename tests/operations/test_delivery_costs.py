"""What delivering costs: the same for one look, however much waits for a receiver."""

from __future__ import annotations

from collections import Counter

import pytest

from queues.model import RecordKind
from queues.operations import Operations
from tests.clock import MovableClock
from tests.operations.calls import draft, post
from tests.operations.delivering import until
from tests.operations.receivers import AWAY, Post, process, working
from tests.operations.subscribing import HOOK, records, subscribe
from tests.transport.faults import FaultyStorage


async def _probe(
    storage: FaultyStorage, clock: MovableClock, outside: Post, waiting: int
) -> Counter[str]:
    """Return the calls that one look at a receiver takes that is away, with so much waiting."""
    here = process(storage, clock, outside)
    await subscribe(here)
    outside.answer(HOOK, AWAY)
    for _ in range(waiting // 20):
        await post(here, *[draft()] * 20)
    async with working(here):
        await _until_quiet(storage, clock, here)
        clock.advance(s=601)
        calls: Counter[str] = Counter()

        async def count(name: str) -> None:
            calls[name] += 1

        sent = len(outside.sent)
        storage.before = count
        here.agenda.ring()
        await outside.until(HOOK, sent + 1)
        await _until_quiet(storage, clock, here)
        storage.recover()
    calls.pop("records.take")
    return calls


async def _until_quiet(storage: FaultyStorage, clock: MovableClock, here: Operations) -> None:
    async def check() -> bool:
        counted, storage.before = storage.before, None
        (lane,) = await records(storage, RecordKind.LANE, clock.now_ms())
        outbox = await records(storage, RecordKind.OUTBOX, clock.now_ms())
        storage.before = counted
        quiet = lane.due_ms is not None and b'"quiet_until_ms": %d' % lane.due_ms
        settled = all(record.due_ms is None for record in outbox)
        return bool(quiet) and quiet in lane.document and settled

    await until(check)


@pytest.mark.parametrize("waiting", [100, 2000])
async def test_a_receiver_that_is_away_costs_the_same_however_much_waits(
    storage: FaultyStorage, clock: MovableClock, waiting: int
) -> None:
    calls = await _probe(storage, clock, Post(), waiting)
    assert sum(calls.values()) <= 80, calls


async def test_what_is_delivered_costs_the_same_at_any_depth(
    storage: FaultyStorage, clock: MovableClock
) -> None:
    outside = Post()
    here = process(storage, clock, outside)
    await subscribe(here)
    calls: Counter[str] = Counter()

    async def count(name: str) -> None:
        calls[name] += 1

    costs = []
    async with working(here):
        for size in (100, 400):
            calls.clear()
            storage.before = count
            for _ in range(size // 20):
                await post(here, *[draft()] * 20)
            await outside.until(HOOK, size if size == 100 else 500)
            storage.recover()
            costs.append(sum(calls.values()) / size)
    assert costs[1] <= 1.5 * costs[0]


async def test_a_post_of_many_messages_is_read_a_few_times_only(
    storage: FaultyStorage, clock: MovableClock
) -> None:
    outside = Post()
    here = process(storage, clock, outside)
    await subscribe(here)
    calls: Counter[str] = Counter()

    async def count(name: str) -> None:
        calls[name] += 1

    await post(here, *[draft()] * 1000)
    storage.before = count
    async with working(here):
        await outside.until(HOOK, 1000)
    assert calls["records.list"] <= 20, calls
