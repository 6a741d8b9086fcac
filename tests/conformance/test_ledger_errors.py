"""A failing store, as credentials, quotas, records see it: an error in time, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from queues.errors import StorageUnavailable
from queues.model import Rate
from tests.conformance.harness import Harness
from tests.conformance.project import ProjectHandle
from tests.conformance.records import RecordsHandle
from tests.conformance.test_errors import SLACK_MS, TIMEOUT_MS, outcome

Call = Callable[[ProjectHandle], Awaitable[object]]

READS: dict[str, Call] = {
    "get": lambda p: p.get(),
    "list": lambda p: p.page(),
    "revocations": lambda p: p.revocations(known=0),
    "get quota": lambda p: p.storage.quotas.get("alpha"),
    "list quotas": lambda p: p.storage.quotas.list(marker=None, limit=9),
    "usage": lambda p: p.usage(),
    "get record": lambda p: records_of(p).get(),
    "list records": lambda p: records_of(p).page(),
}
WRITES: dict[str, Call] = {
    "add": lambda p: p.add("new"),
    "spend": lambda p: p.spend(),
    "revoke": lambda p: p.revoke(),
    "put quota": lambda p: p.storage.quotas.put("beta", b"{}"),
    "delete quota": lambda p: p.storage.quotas.delete("alpha"),
    "take": lambda p: p.take(1, Rate(1, 10)),
    "create record": lambda p: records_of(p).create(records_of(p).made("new")),
    "replace record": lambda p: records_of(p).replace(records_of(p).made(version=1)),
    "take records": lambda p: records_of(p).take(),
    "delete record": lambda p: records_of(p).delete(),
}


def records_of(project: ProjectHandle) -> RecordsHandle:
    return RecordsHandle(project.storage, project.clock)


@pytest.fixture
async def filled(alpha: ProjectHandle) -> ProjectHandle:
    await alpha.add(uses_left=3)
    await alpha.add("revoked")
    await alpha.revoke("revoked")
    await alpha.storage.quotas.put("alpha", b"limits")
    await (await alpha.queue("orders")).post()
    await records_of(alpha).add(version=1, due_ms=alpha.now_ms)
    return alpha


@pytest.fixture
async def hasty(filled: ProjectHandle, harness: Harness) -> ProjectHandle:
    if not harness.backend.can_fail:
        pytest.skip("this store cannot be made to fail")
    return filled.on(storage=await harness.another(timeout_ms=TIMEOUT_MS))


async def everything(alpha: ProjectHandle) -> list[object]:
    return [
        await alpha.page(),
        await alpha.get(),
        await alpha.get("revoked"),
        await alpha.all_revocations(),
        await alpha.storage.quotas.list(marker=None, limit=9),
        await alpha.usage(),
        await records_of(alpha).page(),
    ]


async def all_fail_in_time(hasty: ProjectHandle, calls: dict[str, Call]) -> None:
    outcomes = await asyncio.gather(*(outcome(call(hasty)) for call in calls.values()))
    kinds = {name: kind for name, (kind, _) in zip(calls, outcomes, strict=True)}
    assert kinds == dict.fromkeys(calls, StorageUnavailable)
    assert max(spent_ms for _, spent_ms in outcomes) < TIMEOUT_MS + SLACK_MS


async def test_every_call_says_in_time_that_the_store_is_gone_and_works_when_it_is_back(
    hasty: ProjectHandle, harness: Harness
) -> None:
    before = await everything(hasty)
    calls = WRITES if harness.backend.reads_survive_outage else READS | WRITES
    async with harness.outage():
        await all_fail_in_time(hasty, calls)
    assert await everything(hasty) == before
    for call in (READS | WRITES).values():
        await call(hasty)


async def test_every_call_gives_up_on_a_store_that_hangs(
    hasty: ProjectHandle, harness: Harness
) -> None:
    if not harness.backend.can_restart:
        pytest.skip("the store is no process of ours")
    before = await everything(hasty)
    with harness.hang():
        await all_fail_in_time(hasty, READS)
    assert await everything(hasty) == before


async def test_nothing_acknowledged_is_lost_when_the_store_crashes(
    hasty: ProjectHandle, harness: Harness
) -> None:
    await hasty.spend()
    (taken,) = await records_of(hasty).take_all()
    before = await everything(hasty)
    async with harness.outage():
        pass
    assert await everything(hasty) == before
    known = (await hasty.all_revocations()).version
    assert await hasty.revocations(known) is None
    assert [await hasty.spend() for _ in range(3)] == [True, True, False]
    assert not await hasty.revoke("revoked")
    assert await records_of(hasty).replace(taken.record)


async def test_what_was_stored_is_there_after_closing_and_opening(
    filled: ProjectHandle, harness: Harness
) -> None:
    await filled.spend()
    before = await everything(filled)
    await harness.close(filled.storage)
    again = filled.on(storage=await harness.another())
    assert await everything(again) == before
    assert [await again.spend() for _ in range(3)] == [True, True, False]


async def test_a_closed_instance_is_unavailable(
    filled: ProjectHandle, harness: Harness
) -> None:
    if not harness.backend.can_close:
        pytest.skip("this store holds nothing that could be closed")
    closed = filled.on(storage=await harness.another())
    await harness.close(closed.storage)
    for call in (READS | WRITES).values():
        with pytest.raises(StorageUnavailable):
            await asyncio.wait_for(call(closed), timeout=5)
    assert await filled.spend()
