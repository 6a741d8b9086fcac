"""Work that is due: taken by one at a time, again when its lease ends, never forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from queues.model import RecordKind, Taken
from tests.conformance.handle import QueueHandle
from tests.conformance.harness import Harness
from tests.conformance.records import LATEST_MS, LEASE_S, RecordsHandle, keys_of

LEASE_MS = LEASE_S * 1000


@pytest.fixture
async def pair(records: RecordsHandle, harness: Harness) -> list[RecordsHandle]:
    """The same records, through two processes' worth of storage."""
    return [records, records.on(storage=await harness.another())]


async def nothing_is_due(records: RecordsHandle) -> None:
    """Check it at this moment, of which `take_all` lets some pass."""
    for _ in range(5):
        assert await records.take() == []


async def take_at_once(records: RecordsHandle, **asked: float) -> Taken:
    """Take the only record that is due, at this moment."""
    for _ in range(20):
        if taken := await records.take(**asked):  # type: ignore[arg-type]
            (only,) = taken
            return only
    raise AssertionError("nothing was due")


async def test_a_record_is_due_to_the_millisecond(records: RecordsHandle) -> None:
    made = await records.add(due_ms=records.now_ms + 5000)
    await nothing_is_due(records)
    records.clock.advance(ms=4999)
    await nothing_is_due(records)
    records.clock.advance(ms=1)
    taken = await take_at_once(records)
    assert taken.project == "alpha"
    assert taken.record == made._replace(
        version=made.version + 1, due_ms=records.now_ms + LEASE_MS
    )
    await nothing_is_due(records)


@pytest.mark.parametrize("due_ms", [0, 1, 1_000_000])
async def test_a_record_that_was_due_long_ago_is_due(
    records: RecordsHandle, due_ms: int
) -> None:
    await records.add(due_ms=due_ms)
    assert (await take_at_once(records)).record.due_ms == records.now_ms + LEASE_MS


async def test_none_is_never_due(records: RecordsHandle) -> None:
    await records.add("never")
    first = await records.add("no longer", due_ms=records.now_ms + 5000)
    assert await records.replace(first._replace(due_ms=None))
    records.clock.advance(s=1_000_000)
    assert await records.take_all() == []


async def test_what_is_taken_can_be_read_as_it_was_returned(pair: list[RecordsHandle]) -> None:
    await pair[0].add(due_ms=pair[0].now_ms, expires_ms=pair[0].now_ms + 9_000_000)
    taken = await take_at_once(pair[0])
    assert await pair[1].get() == taken.record
    assert await pair[1].page() == [taken.record]


async def test_a_lease_that_ends_makes_the_record_due_again_to_the_millisecond(
    pair: list[RecordsHandle],
) -> None:
    await pair[0].add(due_ms=pair[0].now_ms)
    first = await take_at_once(pair[0], lease_s=30)
    pair[0].clock.advance(ms=29_999)
    await nothing_is_due(pair[0])
    await nothing_is_due(pair[1])
    pair[0].clock.advance(ms=1)
    second = await take_at_once(pair[1], lease_s=30)
    assert second.record.version == first.record.version + 1
    assert second.record.document == first.record.document


async def test_who_lost_the_lease_changes_nothing(pair: list[RecordsHandle]) -> None:
    slow, quick = pair
    await slow.add(due_ms=slow.now_ms)
    lost = await take_at_once(slow)
    slow.clock.advance(ms=LEASE_MS)
    held = await take_at_once(quick)
    assert not await slow.replace(lost.record._replace(document=b"late", due_ms=None))
    assert not await slow.delete(version=lost.record.version)
    assert await quick.get() == held.record
    assert await quick.replace(held.record._replace(document=b"done", due_ms=None))
    assert not await slow.replace(lost.record)
    slow.clock.advance(ms=2 * LEASE_MS)
    assert await slow.take_all() == []


async def test_whoever_comes_late_but_was_not_overtaken_still_holds_it(
    records: RecordsHandle,
) -> None:
    await records.add(due_ms=records.now_ms)
    held = await take_at_once(records)
    records.clock.advance(ms=2 * LEASE_MS)
    assert await records.replace(held.record._replace(due_ms=None))
    assert await records.take_all() == []


async def test_a_taken_record_can_be_put_off_and_brought_forward(
    records: RecordsHandle,
) -> None:
    await records.add(due_ms=records.now_ms)
    held = await take_at_once(records)
    assert await records.replace(held.record._replace(due_ms=records.now_ms + 500_000))
    records.clock.advance(ms=499_999)
    await nothing_is_due(records)
    records.clock.advance(ms=1)
    held = await take_at_once(records)
    assert await records.replace(held.record._replace(due_ms=records.now_ms + 1))
    records.clock.advance(ms=1)
    assert (await take_at_once(records)).record.version == held.record.version + 2


async def test_a_record_that_is_gone_is_not_taken(
    orders: QueueHandle, records: RecordsHandle
) -> None:
    due_ms = records.now_ms + 5000
    await records.add("deleted", due_ms=due_ms)
    await records.delete("deleted")
    await records.add("expired", due_ms=due_ms, expires_ms=due_ms)
    await records.add("left", due_ms=due_ms, expires_ms=due_ms + 3 * LATEST_MS)
    records.clock.advance(ms=5000)
    assert keys_of(await records.take_all()) == ["left"]
    await orders.sweep_all()
    records.clock.advance(ms=LEASE_MS)
    assert await records.take_all() == []


async def test_a_record_created_again_is_due_when_the_new_one_is(
    records: RecordsHandle,
) -> None:
    await records.add(due_ms=records.now_ms + 5000)
    await records.delete()
    new = await records.add(due_ms=records.now_ms + 90_000)
    records.clock.advance(ms=5000)
    assert await records.take_all() == []
    records.clock.advance(ms=90_000)
    assert (await take_at_once(records)).record.version == new.version + 1


async def test_those_of_one_scope_come_in_the_order_in_which_they_were_due(
    records: RecordsHandle,
) -> None:
    order = list(range(40))
    Random(5).shuffle(order)
    for number in order:
        await records.add(f"{number:02}", due_ms=records.now_ms - 1000 + number)
    found: list[Taken] = []
    while len(found) < 40:
        found += await records.take(7)
    assert keys_of(found) == [f"{number:02}" for number in range(40)]


@pytest.mark.parametrize("limit", [1, 3, 10, 1000])
async def test_no_more_are_taken_than_asked_for_and_the_rest_stays_due(
    records: RecordsHandle, limit: int
) -> None:
    for number in range(12):
        await records.on(scope=f"scope-{number % 4}").add(f"{number}", due_ms=records.now_ms)
    first = await records.take(limit)
    assert len(first) <= limit
    rest = await records.take_all(limit)
    assert sorted(map(int, keys_of(first + rest))) == list(range(12))


async def test_work_of_all_projects_kinds_and_scopes_is_taken(records: RecordsHandle) -> None:
    expected = set()
    for project in ("alpha", "beta", ""):
        for scope in ("orders", "other", ""):
            for kind in RecordKind:
                handle = records.on(project=project, scope=scope, kind=kind)
                await handle.add(due_ms=records.now_ms)
                expected.add((project, kind, scope))
    taken = await records.take_all(limit=10)
    assert len(taken) == len(expected)
    assert {(t.project, t.record.kind, t.record.scope) for t in taken} == expected


async def test_no_version_is_taken_twice(pair: list[RecordsHandle]) -> None:
    for number in range(60):
        handle = pair[number % 2].on(scope=f"scope-{number % 3}")
        await handle.add(f"{number}", due_ms=handle.now_ms)
    taken = flat(await asyncio.gather(*(pair[n % 2].take(7) for n in range(20))))
    taken += await pair[0].take_all()
    assert Counter(map(int, keys_of(taken))) == Counter(range(60))
    pair[0].clock.advance(ms=LEASE_MS)
    again = flat(await asyncio.gather(*(pair[n % 2].take(7) for n in range(20))))
    again += await pair[1].take_all()
    versions = Counter((each.record.key, each.record.version) for each in taken + again)
    assert len(versions) == 120
    assert set(versions.values()) == {1}


async def test_a_change_and_a_take_at_once_leave_one_of_them(pair: list[RecordsHandle]) -> None:
    for number in range(10):
        made = await pair[0].add(f"{number}", due_ms=pair[0].now_ms)
        quiet = made._replace(document=b"changed", due_ms=None)
        changed, taken = await asyncio.gather(pair[0].replace(quiet), pair[1].take())
        assert changed == (taken == [])
        held = await pair[0].get(made.key)
        assert held is not None
        assert held.version == made.version + 1
        await pair[0].delete(made.key)


async def test_nothing_is_missed_in_many_scopes_with_many_who_create(
    pair: list[RecordsHandle],
) -> None:
    async def create(writer: int) -> None:
        for number in range(25):
            project, scope = f"project-{number % 5}", f"scope-{writer}-{number % 7}"
            handle = pair[writer % 2].on(project=project, scope=scope)
            await handle.add(f"{writer}-{number}", due_ms=handle.now_ms - number)

    creating = asyncio.gather(*map(create, range(8)))

    async def take(reader: int) -> list[Taken]:
        found: list[Taken] = []
        while not creating.done():
            found += await pair[reader].take(5)
            await asyncio.sleep(0)
        return found

    taken = flat(await asyncio.gather(take(0), take(1)))
    await creating
    taken += await pair[0].take_all()
    expected = [f"{writer}-{number}" for writer in range(8) for number in range(25)]
    assert sorted(keys_of(taken)) == sorted(expected)


async def test_who_opens_the_store_later_takes_what_was_left(
    records: RecordsHandle, harness: Harness
) -> None:
    for number in range(6):
        handle = records.on(project=f"project-{number % 2}", scope=f"scope-{number}")
        await handle.add(f"{number}", due_ms=handle.now_ms + 5000)
    await harness.close(records.storage)
    records.clock.advance(ms=5000)
    late = records.on(storage=await harness.another())
    assert sorted(keys_of(await late.take_all())) == [f"{number}" for number in range(6)]


def flat(lists: Sequence[list[Taken]]) -> list[Taken]:
    return [taken for one in lists for taken in one]
