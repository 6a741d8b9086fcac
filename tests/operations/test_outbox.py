"""The outbox rings for any number of subscriptions, however long that takes."""

from __future__ import annotations

import pytest

from queues.model import RecordKind, Taken
from queues.operations import outbox
from queues.operations.agenda import LEASE_MS
from tests.clock import MovableClock
from tests.operations.delivering import say, until_nothing_is_due
from tests.operations.receivers import Post, process, working
from tests.operations.subscribing import HOOK, records, subscribe
from tests.transport.faults import FaultyStorage


async def take(storage: FaultyStorage, clock: MovableClock) -> list[Taken]:
    """Take what is due of the outbox, and whatever else is."""
    found = await storage.records.take(limit=99, lease_ms=LEASE_MS, now_ms=clock.now_ms())
    return [one for one in found if one.record.kind is RecordKind.OUTBOX]


async def test_it_keeps_its_lease_while_it_rings_page_by_page(
    storage: FaultyStorage,
    other_storage: FaultyStorage,
    clock: MovableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "_PAGE", 2)
    here = process(storage, clock, Post())
    for number in range(5):
        await subscribe(here, f"{HOOK}/{number}")
    async with working(here):
        await until_nothing_is_due(here)
    await say(here, 1)
    (taken,) = await take(storage, clock)
    doubled: list[Taken] = []

    async def after(name: str) -> None:
        if name == "records.list":
            clock.advance(ms=LEASE_MS * 2 // 3)
            doubled.extend(await take(other_storage, clock))

    storage.after = after
    await here.messages._outbox._announce(taken)  # noqa: SLF001 (as the agenda would)
    storage.recover()
    assert doubled == []
    (settled,) = await records(storage, RecordKind.OUTBOX, clock.now_ms())
    assert settled.due_ms is None
    lanes = await records(storage, RecordKind.LANE, clock.now_ms())
    assert [lane.due_ms is not None for lane in lanes] == [True] * 5
