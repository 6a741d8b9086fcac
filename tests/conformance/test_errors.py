"""A failing store: every call says so in time, nothing is lost, and it goes on after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from queues.errors import StorageUnavailable
from queues.model import Record, RecordKind
from tests.conformance.handle import QueueHandle
from tests.conformance.harness import Harness
from tests.factories import dead_letters, idempotency, new_message, new_messages

TIMEOUT_MS = 500
#: How much longer than its timeout a call may take on a busy machine.
SLACK_MS = 1500

#: A call on the queue of the fixture `hasty` and the message that its claim `held` holds.
Call = Callable[[QueueHandle, int], Awaitable[object]]

READS: dict[str, Call] = {
    "get queue": lambda q, _: q.describe(),
    "list queues": lambda q, _: q.storage.queues.list("alpha", marker="", limit=9),
    "count": lambda q, _: q.storage.queues.count("alpha"),
    "stats": lambda q, _: q.stats(),
    "list": lambda q, _: q.page(),
    "get": lambda q, seq: q.get(seq),
    "get claim": lambda q, _: q.get_claim("held"),
    "tail": lambda q, _: q.tail(),
    "next due": lambda q, _: q.next_due(),
    "health": lambda q, _: q.storage.health(),
}
#: In an order in which all of them succeed.
WRITES: dict[str, Call] = {
    "create": lambda q, _: q.on(queue="new").create(),
    "post": lambda q, _: q.post(),
    "post with a key": lambda q, _: q.post(idempotency=idempotency()),
    "post with an outbox": lambda q, _: q.post(outbox=outbox_of(q)),
    "pop": lambda q, _: q.pop(),
    "claim": lambda q, _: q.claim(1),
    "claim with dead letters": lambda q, _: q.claim(1, dead_letter=dead_letters()),
    "renew": lambda q, _: q.renew("held"),
    "hold": lambda q, seq: q.hold(seq),
    "delete": lambda q, seq: q.delete(seq, claim_ids=["held"]),
    "release": lambda q, _: q.release("held-too"),
    "purge": lambda q, _: q.purge(),
    "update": lambda q, _: q.update(b"{}", expected_version=1, version=2),
    "delete queue": lambda q, _: q.drop(),
}


def outbox_of(queue: QueueHandle) -> Record:
    return Record(RecordKind.OUTBOX, queue.queue, "", b"{}", version=1)


@pytest.fixture
async def hasty(orders: QueueHandle, harness: Harness) -> QueueHandle:
    """Five messages: one under `held`, one under `held-too`, two ready, one delayed."""
    if not harness.backend.can_fail:
        pytest.skip("this store cannot be made to fail")
    await orders.post(*new_messages(4), new_message(delay_s=1800))
    await orders.claim_some(1, claim_id="held", lease_s=1800)
    await orders.claim_some(1, claim_id="held-too", lease_s=1800)
    return orders.on(storage=await harness.another(timeout_ms=TIMEOUT_MS))


async def held_message(handle: QueueHandle) -> int:
    claim = await handle.get_claim("held")
    assert claim is not None
    return claim.messages[0].seq


async def outcome(call: Awaitable[object]) -> tuple[type, float]:
    """Return the class of what the call came to, and the milliseconds that it took."""
    start = time.perf_counter()
    (answer,) = await asyncio.gather(call, return_exceptions=True)
    return type(answer), (time.perf_counter() - start) * 1000


async def all_fail_in_time(hasty: QueueHandle, seq: int, calls: dict[str, Call]) -> None:
    outcomes = await asyncio.gather(*(outcome(call(hasty, seq)) for call in calls.values()))
    kinds = {name: kind for name, (kind, _) in zip(calls, outcomes, strict=True)}
    assert kinds == dict.fromkeys(calls, StorageUnavailable)
    assert max(spent_ms for _, spent_ms in outcomes) < TIMEOUT_MS + SLACK_MS


def failing_calls(harness: Harness) -> dict[str, Call]:
    return WRITES if harness.backend.reads_survive_outage else READS | WRITES


async def test_every_call_says_in_time_that_the_store_is_gone_and_works_when_it_is_back(
    hasty: QueueHandle, harness: Harness
) -> None:
    seq = await held_message(hasty)
    before = await hasty.everything()
    async with harness.outage():
        await all_fail_in_time(hasty, seq, failing_calls(harness))
        await all_fail_in_time(hasty, seq, failing_calls(harness))
    assert await hasty.everything() == before
    assert await hasty.counts() == (2, 5)
    for call in (READS | WRITES).values():
        await call(hasty, seq)


async def test_every_call_gives_up_on_a_store_that_hangs(
    hasty: QueueHandle, harness: Harness
) -> None:
    if not harness.backend.can_restart:
        pytest.skip("the store is no process of ours")
    seq = await held_message(hasty)
    with harness.hang():
        await all_fail_in_time(hasty, seq, READS)
    assert await held_message(hasty) == seq
    assert await hasty.counts() == (2, 5)


async def test_late_answers_of_a_store_that_hung_go_to_nobody(
    hasty: QueueHandle, harness: Harness
) -> None:
    if not harness.backend.can_restart:
        pytest.skip("the store is no process of ours")
    before = {message.seq: message for message in await hasty.everything()}
    with harness.hang():
        await asyncio.gather(*(hasty.get(seq) for seq in before), return_exceptions=True)
    answers = await asyncio.gather(*(hasty.get(seq) for seq in before))
    assert answers == [[message] for message in before.values()]


async def test_nothing_acknowledged_is_lost_when_the_store_crashes(
    orders: QueueHandle, harness: Harness
) -> None:
    if not harness.backend.can_fail:
        pytest.skip("this store cannot be made to fail")
    key = idempotency()
    seqs = await orders.post(*new_messages(5), new_message(delay_s=60), idempotency=key)
    claim = await orders.claim_some(2, lease_s=600)
    await orders.renew(claim.id, lease_s=900)
    await orders.delete(seqs[0], claim_ids=[claim.id])
    assert await orders.pop() == [seqs[2]]
    before = await orders.everything(), await orders.stats(), await orders.get_claim(claim.id)
    async with harness.outage():
        pass
    after = await orders.everything(), await orders.stats(), await orders.get_claim(claim.id)
    assert after == before
    assert await orders.post(*new_messages(5), idempotency=key) == seqs
    assert await orders.post() > seqs


async def test_an_instance_opened_after_the_crash_finds_everything(
    orders: QueueHandle, harness: Harness
) -> None:
    if not harness.backend.can_fail:
        pytest.skip("this store cannot be made to fail")
    await orders.post(*new_messages(3))
    before = await orders.everything()
    await harness.close(orders.storage)
    async with harness.outage():
        pass
    again = orders.on(storage=await harness.another())
    assert await again.everything() == before
    assert await again.post() > [before[-1].seq]


async def test_a_store_out_of_reach_is_unavailable_and_its_password_stays_secret(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    url = harness.backend.unreachable_url("s3cr3t")
    if url is None:
        pytest.skip("this store is always within reach")
    caplog.set_level("DEBUG")
    storage = harness.backend.storage(url, timeout_ms=TIMEOUT_MS)
    with pytest.raises(StorageUnavailable) as caught:
        await storage.open()
    await storage.close()
    told: BaseException | None = caught.value
    while told is not None:
        assert "s3cr3t" not in f"{told} {told!r}"
        told = told.__cause__
    assert "s3cr3t" not in caplog.text
    assert "s3cr3t" not in repr(storage)
