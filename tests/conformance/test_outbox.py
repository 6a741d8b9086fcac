"""The outbox: a record that is stored in the same step as the messages it tells of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from queues.errors import IdempotencyKeyReused, QueueChanged, StorageUnavailable
from queues.model import RecordKind
from queues.storage import Storage, outbox_key
from tests.clock import MovableClock
from tests.conformance.collisions import PLACES
from tests.conformance.handle import QueueHandle
from tests.conformance.harness import Harness
from tests.conformance.records import LEASE_S, RecordsHandle, keys_of
from tests.factories import idempotency, new_message, new_messages

HOUR_MS = 3_600_000


@pytest.fixture
async def outbox(orders: QueueHandle) -> RecordsHandle:
    """What was to be told of messages in the queue `orders`, which exists."""
    return box_of(orders)


def box_of(queue: QueueHandle) -> RecordsHandle:
    return RecordsHandle(
        queue.storage, queue.clock, queue.project, RecordKind.OUTBOX, queue.queue
    )


def keys(posts: Sequence[list[int]]) -> list[str]:
    return [outbox_key(seqs[0]) for seqs in posts]


@pytest.mark.parametrize("document", [b"{}", bytes(range(256)), b"x" * 300_000])
async def test_it_is_stored_with_the_messages_under_the_key_of_the_first(
    orders: QueueHandle, outbox: RecordsHandle, document: bytes
) -> None:
    made = outbox.made("", document, due_ms=orders.now_ms, expires_ms=orders.now_ms + HOUR_MS)
    seqs = await orders.post(*new_messages(3), outbox=made)
    expected = made._replace(key=outbox_key(seqs[0]))
    assert await outbox.get(expected.key) == expected
    assert await outbox.page() == [expected]
    assert await orders.listed() == seqs


async def test_a_post_without_one_leaves_none(
    orders: QueueHandle, outbox: RecordsHandle
) -> None:
    await orders.post(*new_messages(3))
    assert await outbox.page() == []


async def test_keys_are_in_the_order_of_the_messages(
    orders: QueueHandle, outbox: RecordsHandle, harness: Harness
) -> None:
    other = orders.on(storage=await harness.another())
    posts = [
        await handle.post(*new_messages(size), outbox=outbox.made("", b"%d" % size))
        for size in (1, 2, 100)
        for handle in (orders, other)
    ]
    posts += await asyncio.gather(
        *(
            (orders, other)[n % 2].post(*new_messages(n), outbox=outbox.made("", b"%d" % n))
            for n in range(1, 20)
        )
    )
    assert await outbox.listed() == sorted(keys(posts)) == keys(sorted(posts))
    sizes = {record.key: int(record.document) for record in await outbox.page()}
    assert sizes == {outbox_key(seqs[0]): len(seqs) for seqs in posts}


async def test_a_repeat_stores_no_second_one(
    orders: QueueHandle, outbox: RecordsHandle
) -> None:
    key = idempotency()
    first = await orders.post(*new_messages(2), idempotency=key, outbox=outbox.made(""))
    before = await outbox.page()
    for _ in range(2):
        again = await orders.post(*new_messages(2), idempotency=key, outbox=outbox.made(""))
        assert again == first
    assert await outbox.page() == before
    await outbox.delete(before[0].key)
    await orders.post(*new_messages(2), idempotency=key, outbox=outbox.made(""))
    assert await outbox.page() == []


async def test_of_concurrent_posts_with_one_key_one_leaves_one(
    orders: QueueHandle, outbox: RecordsHandle, harness: Harness
) -> None:
    pair = [orders, orders.on(storage=await harness.another())]
    for number in range(3):
        key = idempotency(f"key-{number}")
        answers = await asyncio.gather(
            *(pair[n % 2].post(idempotency=key, outbox=outbox.made("")) for n in range(6))
        )
        assert len({tuple(seqs) for seqs in answers}) == 1
    assert await outbox.listed() == [outbox_key(seq) for seq in await orders.listed()]
    assert len(await outbox.page()) == 3


async def test_a_post_that_is_refused_leaves_none(
    orders: QueueHandle, outbox: RecordsHandle
) -> None:
    for refused in (orders.on(version=2), orders.on(queue="absent")):
        with pytest.raises(QueueChanged):
            await refused.post(outbox=box_of(refused).made(""))
        assert await box_of(refused).page() == []
    await orders.post(idempotency=idempotency())
    with pytest.raises(IdempotencyKeyReused):
        await orders.post(idempotency=idempotency(request="another"), outbox=outbox.made(""))
    assert await outbox.page() == []


async def test_it_is_work_that_is_due(orders: QueueHandle, outbox: RecordsHandle) -> None:
    now, later = [
        await orders.post(outbox=outbox.made("", due_ms=orders.now_ms + delay_ms))
        for delay_ms in (0, HOUR_MS)
    ]
    (taken,) = await outbox.take_all()
    assert (taken.project, taken.record.kind) == ("alpha", RecordKind.OUTBOX)
    assert (taken.record.scope, taken.record.key) == ("orders", outbox_key(now[0]))
    assert await outbox.delete(taken.record.key, version=taken.record.version)
    outbox.clock.advance(ms=HOUR_MS)
    assert keys_of(await outbox.take_all()) == keys([later])


async def test_it_changes_like_any_other_record(
    orders: QueueHandle, outbox: RecordsHandle
) -> None:
    await orders.post(outbox=outbox.made("", due_ms=orders.now_ms))
    (taken,) = await outbox.take_all()
    progress = taken.record._replace(document=b'{"next":7}', due_ms=outbox.now_ms)
    assert await outbox.replace(progress)
    (again,) = await outbox.take_all()
    assert again.record.document == progress.document
    assert again.record.version == progress.version + 2
    outbox.clock.advance(s=LEASE_S)
    assert keys_of(await outbox.take_all()) == [taken.record.key]


async def test_it_outlives_messages_and_queue(
    orders: QueueHandle, outbox: RecordsHandle
) -> None:
    due_ms = orders.now_ms + HOUR_MS
    seqs = await orders.post(new_message(ttl_s=60), outbox=outbox.made("", due_ms=due_ms))
    await orders.delete(*seqs)
    await orders.purge()
    await orders.drop()
    orders.clock.advance(s=60)
    await orders.sweep_all()
    assert await outbox.listed() == keys([seqs])
    await orders.create()
    later = await orders.post(outbox=outbox.made("", due_ms=due_ms))
    assert await outbox.listed() == keys([seqs, later])
    orders.clock.advance(ms=HOUR_MS)
    assert sorted(keys_of(await outbox.take_all())) == keys([seqs, later])


async def test_it_is_in_the_project_and_queue_of_the_messages(
    storage: Storage, clock: MovableClock
) -> None:
    queues = [QueueHandle(storage, clock, project, queue) for project, queue in PLACES]
    for queue in queues:
        await queue.create()
    made = {
        queue: await queue.post(outbox=box_of(queue).made("", b"%d" % n, due_ms=1))
        for n, queue in enumerate(queues)
    }
    for n, queue in enumerate(queues):
        (found,) = await box_of(queue).page()
        assert (found.key, found.document) == (outbox_key(made[queue][0]), b"%d" % n)
    taken = await box_of(queues[0]).take_all()
    places = {(t.project, t.record.scope, int(t.record.document)) for t in taken}
    assert places == {(q.project, q.queue, n) for n, q in enumerate(queues)}


async def test_nothing_acknowledged_is_without_it_when_the_store_dies(
    orders: QueueHandle, outbox: RecordsHandle, harness: Harness
) -> None:
    if not harness.backend.can_restart:
        pytest.skip("the store is no process of ours")
    hasty = orders.on(storage=await harness.another(timeout_ms=2000))
    acknowledged: list[list[int]] = []
    busy = asyncio.Event()

    async def write() -> None:
        while True:
            acknowledged.append(await hasty.post(*new_messages(20), outbox=outbox.made("")))
            busy.set()

    writers = [asyncio.create_task(write()) for _ in range(4)]
    await busy.wait()
    async with harness.outage():
        outcomes = await asyncio.gather(*writers, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    # NOTE: a driver may hold readers back for a while; see `test_capabilities.py`.
    orders.clock.advance(s=60)
    found = await outbox.page(limit=10_000)
    stored = {record.key for record in found}
    assert set(keys(acknowledged)) <= stored
    if harness.capabilities.atomic_batches:
        firsts = [m.seq for m in await orders.everything() if m.body == b"0"]
        assert stored == {outbox_key(seq) for seq in firsts}
