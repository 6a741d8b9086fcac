"""Where drivers may differ, each answer of theirs is put to the test."""

from __future__ import annotations

import asyncio
from dataclasses import astuple

import pytest

from queues.errors import StorageUnavailable
from queues.model import Media, RecordKind
from queues.records import SEALED
from queues.storage import Capabilities
from tests.conformance.handle import QueueHandle, seqs_of
from tests.conformance.harness import Harness
from tests.conformance.records import RecordsHandle
from tests.conformance.stopwatch import fastest_ms
from tests.factories import new_message, new_messages

BATCH = 100


def test_every_driver_states_its_capabilities(orders: QueueHandle) -> None:
    capabilities = orders.storage.capabilities
    assert isinstance(capabilities, Capabilities)
    assert {type(answer) for answer in astuple(capabilities)} == {bool}


async def test_health_tells_the_durability_in_words(orders: QueueHandle) -> None:
    health = await orders.storage.health()
    assert health.durability
    assert all(isinstance(warning, str) for warning in health.warnings)


async def test_a_post_that_the_store_dies_in_is_whole_or_absent_if_the_driver_says_so(
    orders: QueueHandle, harness: Harness
) -> None:
    if not harness.backend.can_restart:
        pytest.skip("the store is no process of ours")
    hasty = orders.on(storage=await harness.another(timeout_ms=2000))
    acknowledged: list[list[int]] = []
    busy = asyncio.Event()

    async def write() -> None:
        while True:
            acknowledged.append(await hasty.post(*new_messages(BATCH)))
            busy.set()

    writers = [asyncio.create_task(write()) for _ in range(4)]
    await busy.wait()
    async with harness.outage():
        outcomes = await asyncio.gather(*writers, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    certain = [seq for batch in acknowledged for seq in batch]
    assert seqs_of(await orders.get(*certain)) == certain
    # NOTE: a driver may hold readers back for a while, but not for good, where it cannot
    # tell a writer that died from one that is slow.
    orders.clock.advance(s=60)
    found = await orders.everything()
    seqs = seqs_of(found)
    assert seqs == sorted(set(seqs))
    assert set(certain) <= set(seqs)
    if harness.capabilities.atomic_batches:
        bodies = sorted(int(message.body) for message in found)
        assert bodies == sorted(list(range(BATCH)) * (len(found) // BATCH))


@pytest.mark.slow
async def test_stats_cost_the_same_at_any_depth_if_the_driver_says_so(
    orders: QueueHandle, harness: Harness
) -> None:
    await orders.post(*new_messages(10))
    shallow_ms = await fastest_ms(orders.stats)
    for _ in range(harness.backend.depth // 100):
        await orders.post(*new_messages(100))
    await orders.claim_some(harness.backend.depth // 2)
    deep_ms = await fastest_ms(orders.stats)
    depth = harness.backend.depth // 100 * 100
    assert await orders.counts() == (harness.backend.depth // 2, depth + 10)
    if harness.capabilities.flat_stats:
        assert deep_ms < 4 * shallow_ms + 2


async def test_what_asks_for_it_is_encrypted_if_the_driver_says_so(
    orders: QueueHandle, harness: Harness
) -> None:
    secret = new_message('"a secret"')._replace(seal=True)
    (seq,) = await orders.post(secret)
    assert (await orders.get_one(seq)).body == secret.body
    bare = await harness.beneath()
    stored = await orders.on(storage=bare).get_one(seq)
    encrypted = stored.media is Media.SEALED and secret.body not in stored.body
    assert encrypted == harness.capabilities.encrypts


async def test_records_that_ask_for_it_are_encrypted_if_the_driver_says_so(
    orders: QueueHandle, records: RecordsHandle, harness: Harness
) -> None:
    secret = records.made(document=b'"a secret"')._replace(seal=True)
    outbox = secret._replace(kind=RecordKind.OUTBOX, key="")
    await records.create(secret)
    await orders.post(outbox=outbox)
    bare = records.on(storage=await harness.beneath())
    stored = await bare.page() + await bare.on(kind=RecordKind.OUTBOX).page()
    assert len(stored) == 2
    assert (await records.get()) == secret._replace(seal=False)
    for record in stored:
        encrypted = secret.document not in record.document
        assert encrypted == harness.capabilities.encrypts
        assert encrypted == record.document.startswith(SEALED)
