"""A failing store: every call says so in bounded time, nothing is lost, and it goes on after."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from queues.errors import StorageUnavailable
from queues.storage import Storage
from storage_drivers import open_storage
from tests.conformance.backends import Backend
from tests.conformance.handle import QueueHandle, seqs_of
from tests.conformance.harness import Harness
from tests.factories import dead_letters, idempotency, new_message, new_messages
from tests.servers.process import free_port

TIMEOUT_MS = 500
#: How much longer than its timeout a call may take on a busy machine.
SLACK_MS = 1500

Call = Callable[[QueueHandle], Awaitable[object]]

WRITES: dict[str, Call] = {
    "create": lambda q: q.on(queue="new").create(),
    "update": lambda q: q.update(b"{}", expected_version=1, version=2),
    "delete queue": lambda q: q.drop(),
    "purge": lambda q: q.purge(),
    "post": lambda q: q.post(),
    "post with a key": lambda q: q.post(idempotency=idempotency()),
    "delete": lambda q: q.delete(seq_of(q), claim_ids=["held"]),
    "pop": lambda q: q.pop(),
    "claim": lambda q: q.claim(),
    "claim with dead letters": lambda q: q.claim(dead_letter=dead_letters()),
    "renew": lambda q: q.renew("held"),
    "release": lambda q: q.release("held"),
}
READS: dict[str, Call] = {
    "get queue": lambda q: q.describe(),
    "list queues": lambda q: q.storage.queues.list("alpha", marker="", limit=9),
    "count": lambda q: q.storage.queues.count("alpha"),
    "stats": lambda q: q.stats(),
    "list": lambda q: q.page(),
    "get": lambda q: q.get(seq_of(q)),
    "get claim": lambda q: q.get_claim("held"),
    "health": lambda q: q.storage.health(),
}


def seq_of(handle: QueueHandle) -> int:
    """Return the sequence of the message under the claim `held`."""
    return handle.version and _held[handle.storage]


_held: dict[Storage, int] = {}


@pytest.fixture
async def hasty(orders: QueueHandle, harness: Harness) -> QueueHandle:
    """A queue with a message under the claim `held` and two that are ready, on a short timeout."""
    if not harness.backend.can_fail:
        pytest.skip("this store cannot be made to fail")
    held, *_ = await orders.post(*new_messages(3))
    await orders.claim_some(1, claim_id="held", lease_s=3600)
    storage = await harness.another(timeout_ms=TIMEOUT_MS)
    _held[storage] = held
    return orders.on(storage=storage)


async def assert_unavailable(call: Call, handle: QueueHandle) -> None:
    start = time.perf_counter()
    with pytest.raises(StorageUnavailable):
        await call(handle)
    assert (time.perf_counter() - start) * 1000 < TIMEOUT_MS + SLACK_MS


async def test_every_call_says_in_time_that_the_store_is_gone(
    hasty: QueueHandle, harness: Harness
) -> None:
    calls = WRITES if harness.backend.reads_survive_outage else {**WRITES, **READS}
    before = await hasty.everything()
    with harness.outage():
        for call in calls.values():
            await assert_unavailable(call, hasty)
    assert await hasty.everything() == before
    assert await hasty.counts() == (1, 3)


@pytest.mark.parametrize("name", list(READS | WRITES))
async def test_every_call_works_again_without_a_new_start(
    hasty: QueueHandle, harness: Harness, name: str
) -> None:
    with harness.outage():
        await assert_unavailable(WRITES["post"], hasty)
    await (READS | WRITES)[name](hasty)
