"""Records: kept as they are, changed in one step, gone to the millisecond."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import product

import pytest

from queues.model import Record, RecordKind
from tests.conformance.handle import QueueHandle
from tests.conformance.harness import Harness
from tests.conformance.records import RecordsHandle

HOUR_MS = 3_600_000
#: The largest version that a caller makes up is below 2^52, as for queues.
LARGEST = 2**52 - 1

DOCUMENTS = {
    "empty": b"",
    "a zero": b"\0",
    "JSON": '{"name":"café","\U0001f600":[1,null]}'.encode(),
    "all bytes": bytes(range(256)),
    "long": b"0123456789" * 30_000,
}
each_document = pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)

Sweep = Callable[[QueueHandle], Awaitable[object]]


async def nothing(orders: QueueHandle) -> None:
    """Leave expired records to the driver's own attention."""


async def sweep_all(orders: QueueHandle) -> None:
    await orders.sweep_all()


each_sweep = pytest.mark.parametrize("sweep", [nothing, sweep_all])


@pytest.fixture
async def pair(records: RecordsHandle, harness: Harness) -> list[RecordsHandle]:
    """The same records, through two processes' worth of storage."""
    return [records, records.on(storage=await harness.another())]


async def test_a_created_record_is_returned_as_it_was(records: RecordsHandle) -> None:
    due = (None, 0, 1, 253_402_300_799_999)
    expiries = (None, records.now_ms + HOUR_MS)
    for version, due_ms, expires_ms in product([0, 1, LARGEST], due, expiries):
        key = f"{version}/{due_ms}/{expires_ms}"
        made = await records.add(key, version=version, due_ms=due_ms, expires_ms=expires_ms)
        assert await records.get(key) == made
        assert await records.page() == [made]
        assert await records.delete(key)
        assert await records.page() == []


@each_document
async def test_a_document_keeps_every_byte(records: RecordsHandle, document: bytes) -> None:
    first = await records.add("first", document)
    second = await records.add("second", b"{}")
    assert await records.replace(second._replace(document=document, due_ms=records.now_ms))
    assert [record.document for record in await records.page()] == [document] * 2
    found = await records.get("first")
    assert found == first
    (taken,) = await records.take_all()
    assert taken.record.document == document


async def test_what_does_not_exist_is_not_found_changed_or_removed(
    records: RecordsHandle,
) -> None:
    await records.add("another")
    assert await records.get() is None
    assert not await records.replace(records.made())
    assert not await records.delete()
    assert not await records.delete(version=1)
    assert await records.listed() == ["another"]


async def test_a_record_that_exists_is_not_created(records: RecordsHandle) -> None:
    made = await records.add(due_ms=records.now_ms + HOUR_MS)
    assert not await records.create(records.made(document=b"other", due_ms=1))
    assert not await records.create(made)
    assert await records.get() == made
    assert await records.take_all() == []


@pytest.mark.parametrize("times", [(None, None), (5, None), (None, 5), (5, 6)])
@pytest.mark.parametrize("before", [(None, None), (3, 4)])
async def test_a_replacement_takes_the_place_of_document_due_time_and_expiry(
    records: RecordsHandle,
    before: tuple[int | None, int | None],
    times: tuple[int | None, int | None],
) -> None:
    def moment(hours: int | None) -> int | None:
        return None if hours is None else records.now_ms + hours * HOUR_MS

    made = await records.add(due_ms=moment(before[0]), expires_ms=moment(before[1]))
    changed = made._replace(
        document=b"new", due_ms=moment(times[0]), expires_ms=moment(times[1])
    )
    assert await records.replace(changed)
    expected = changed._replace(version=made.version + 1)
    assert await records.get() == expected
    assert await records.page() == [expected]


@pytest.mark.parametrize("difference", [-1, 1, 1000])
async def test_another_version_is_neither_replaced_nor_deleted(
    records: RecordsHandle, difference: int
) -> None:
    made = await records.add()
    other = made._replace(version=made.version + difference, document=b"other", due_ms=1)
    assert not await records.replace(other)
    assert not await records.delete(version=other.version)
    assert await records.get() == made
    assert await records.take_all() == []


async def test_a_version_is_over_once_it_was_replaced(records: RecordsHandle) -> None:
    made = await records.add(version=LARGEST)
    assert await records.replace(made._replace(document=b"2"))
    assert not await records.replace(made._replace(document=b"3"))
    assert not await records.delete(version=made.version)
    assert await records.replace(made._replace(version=made.version + 1, document=b"4"))
    assert await records.get() == made._replace(version=made.version + 2, document=b"4")


async def test_a_deleted_record_is_gone(records: RecordsHandle) -> None:
    made = await records.add(due_ms=records.now_ms)
    assert await records.delete(version=made.version)
    assert not await records.delete()
    assert await records.get() is None
    assert await records.page() == []
    assert await records.take_all() == []
    await records.add()
    assert await records.delete()
    assert await records.get() is None


async def test_a_record_created_again_is_not_taken_for_the_old_one(
    records: RecordsHandle,
) -> None:
    old = await records.add(due_ms=records.now_ms, expires_ms=records.now_ms + HOUR_MS)
    await records.delete()
    new = await records.add(document=b"new")
    assert not await records.replace(old)
    assert not await records.delete(version=old.version)
    assert await records.take_all() == []
    records.clock.advance(ms=HOUR_MS)
    assert await records.get() == new


async def test_of_concurrent_creations_exactly_one_creates(pair: list[RecordsHandle]) -> None:
    for number in range(5):
        made = [pair[0].made(f"key-{number}") for _ in range(8)]
        answers = await asyncio.gather(
            *(pair[n % 2].create(record) for n, record in enumerate(made))
        )
        (winner,) = [record for record, won in zip(made, answers, strict=True) if won]
        assert await pair[1].get(winner.key) == winner


async def test_of_concurrent_changes_exactly_one_succeeds(pair: list[RecordsHandle]) -> None:
    for number in range(5):
        made = await pair[0].add(f"key-{number}")
        changes = [made._replace(document=b"%d" % n) for n in range(8)]
        replacing = [pair[n % 2].replace(change) for n, change in enumerate(changes)]
        deleting = [pair[n].delete(made.key, version=made.version) for n in range(2)]
        answers = await asyncio.gather(*replacing, *deleting)
        assert sum(answers) == 1
        won = answers.index(True)
        winner = changes[won]._replace(version=made.version + 1) if won < 8 else None
        assert await pair[1].get(made.key) == winner


async def test_no_change_is_lost_by_those_who_try_again(pair: list[RecordsHandle]) -> None:
    await pair[0].add(document=b"0")

    async def add_one(records: RecordsHandle) -> None:
        while True:
            found = await records.get()
            assert found is not None
            grown = found._replace(document=b"%d" % (int(found.document) + 1))
            if await records.replace(grown):
                return

    await asyncio.gather(*(add_one(pair[n % 2]) for n in range(12)))
    found = await pair[1].get()
    assert found is not None
    assert found.document == b"12"


async def test_another_instance_sees_each_change_at_once(pair: list[RecordsHandle]) -> None:
    one, other = pair
    made = await one.add()
    for n in range(5):
        assert await other.get() == made
        made = made._replace(document=b"%d" % n)
        assert await one.replace(made)
        made = made._replace(version=made.version + 1)
        assert await other.page() == [made]
    await one.delete()
    assert await other.get() is None


async def test_kinds_are_apart(records: RecordsHandle) -> None:
    handles = [records.on(kind=kind) for kind in RecordKind]
    made = [await handle.add(document=handle.kind.encode()) for handle in handles]
    await handles[0].delete()
    assert await handles[0].page() == []
    for handle, record in zip(handles[1:], made[1:], strict=True):
        assert await handle.get() == record
        assert await handle.page() == [record]


@pytest.mark.parametrize("scope", ["orders", "absent", ""])
async def test_a_queue_and_the_records_in_its_scope_take_no_notice_of_each_other(
    orders: QueueHandle, records: RecordsHandle, scope: str
) -> None:
    await orders.post()
    records = records.on(scope=scope)
    made = await records.add(due_ms=records.now_ms + HOUR_MS)
    assert await orders.storage.queues.count("alpha") == 1
    usage = await orders.storage.quotas.usage("alpha", now_ms=orders.now_ms)
    assert (usage.queues, usage.messages) == (1, 1)
    await orders.purge()
    await orders.sweep_all()
    assert await records.get() == made
    await orders.drop()
    await orders.sweep_all()
    assert await records.page() == [made]
    assert await orders.storage.queues.count("alpha") == 0
    later = await records.add("later")
    await orders.create()
    assert await records.page() == [made, later]
    records.clock.advance(ms=HOUR_MS)
    assert [taken.record.key for taken in await records.take_all()] == ["key"]


@each_sweep
async def test_a_record_expires_to_the_millisecond(
    orders: QueueHandle, records: RecordsHandle, sweep: Sweep
) -> None:
    made = await records.add(expires_ms=records.now_ms + HOUR_MS)
    records.clock.advance(ms=HOUR_MS - 1)
    await sweep(orders)
    assert await records.get() == made
    assert await records.page() == [made]
    records.clock.advance(ms=1)
    await sweep(orders)
    assert await records.get() is None
    assert await records.page() == []
    assert not await records.replace(made._replace(expires_ms=None))
    assert not await records.delete()
    assert not await records.delete(version=made.version)
    assert await records.get() is None


@each_sweep
async def test_an_expired_record_is_created_again(
    orders: QueueHandle, records: RecordsHandle, sweep: Sweep
) -> None:
    old = await records.add(
        due_ms=records.now_ms + 2 * HOUR_MS, expires_ms=records.now_ms + HOUR_MS
    )
    records.clock.advance(ms=HOUR_MS)
    await sweep(orders)
    new = await records.add(document=b"new")
    assert not await records.create(old._replace(expires_ms=None))
    records.clock.advance(ms=2 * HOUR_MS)
    await orders.sweep_all()
    assert await records.page() == [new]
    assert await records.take_all() == []
    assert not await records.replace(old)


@pytest.mark.parametrize("later_ms", [2 * HOUR_MS, None])
async def test_a_replacement_can_put_the_end_off(
    orders: QueueHandle, records: RecordsHandle, later_ms: int | None
) -> None:
    made = await records.add(expires_ms=records.now_ms + HOUR_MS)
    expires_ms = None if later_ms is None else records.now_ms + later_ms
    assert await records.replace(made._replace(expires_ms=expires_ms))
    records.clock.advance(ms=HOUR_MS)
    await orders.sweep_all()
    found = await records.get()
    assert found == made._replace(expires_ms=expires_ms, version=made.version + 1)
    records.clock.advance(ms=HOUR_MS)
    await orders.sweep_all()
    assert (await records.get() is None) == (later_ms is not None)


async def test_sweeping_leaves_what_has_not_expired(
    orders: QueueHandle, records: RecordsHandle
) -> None:
    expected: list[Record] = []
    for n in range(40):
        end_ms = None if n % 4 == 3 else records.now_ms + (n % 4 + 1) * HOUR_MS
        made = await records.add(f"key-{n:02}", json.dumps(n).encode(), expires_ms=end_ms)
        expected += [made] if n % 4 > 1 else []
    records.clock.advance(ms=2 * HOUR_MS)
    await orders.sweep_all()
    assert await records.page() == expected


async def test_what_was_stored_is_there_after_closing_and_opening(
    records: RecordsHandle, harness: Harness
) -> None:
    await records.add("gone")
    due = await records.add("due", due_ms=records.now_ms)
    await records.add("kept", expires_ms=records.now_ms + HOUR_MS)
    await records.delete("gone")
    before = await records.page()
    await harness.close(records.storage)
    again = records.on(storage=await harness.another())
    assert await again.page() == before
    assert [taken.record.version for taken in await again.take_all()] == [due.version + 1]
