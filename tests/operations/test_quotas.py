"""Size quotas: exact in one process, bounded over several, and never refused by hearsay."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from queues import project_limits
from queues.errors import InvalidRequest, QuotaExceeded, StorageUnavailable
from queues.operations import Operations
from queues.operations.accounts import RECOUNT_MS, REFRESH_MS, REREAD_MS
from queues.patch import Change
from tests.clock import MovableClock
from tests.operations.calls import CLIENT, PROJECT, QUEUE, claim, draft, post
from tests.operations.counting import Calls, step
from tests.transport.faults import FaultyStorage

USAGE = "quotas.usage"


@pytest.fixture(autouse=True)
async def no_unseen_failures() -> AsyncIterator[None]:
    """Fail a test that leaves the failure of a background task to nobody."""
    unseen: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unseen.append(context["message"]))
    yield
    gc.collect()
    assert unseen == []


async def _posted(operations: Operations, tries: int, *, at_once: bool = False) -> int:
    """Post messages one by one, or all at once, and return how many were admitted."""
    if at_once:
        outcomes = await asyncio.gather(
            *(post(operations) for _ in range(tries)), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} <= {list, QuotaExceeded}
        return sum(isinstance(outcome, list) for outcome in outcomes)
    posted = 0
    for _ in range(tries):
        try:
            await post(operations)
        except QuotaExceeded:
            continue
        posted += 1
    return posted


async def _stored(operations: Operations) -> int:
    return (await operations.quotas.describe(PROJECT))[1].messages


async def _background() -> None:
    """Let tasks behind the requests end: all of them, but for this one."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    mine = [one for one in others if "Account" in repr(one.get_coro())]
    await asyncio.gather(*mine, return_exceptions=True)


@pytest.mark.parametrize("at_once", [False, True])
async def test_messages_are_admitted_up_to_the_quota_exactly(
    operations: Operations, at_once: bool
) -> None:
    await operations.quotas.override(PROJECT, {"messages": 10})
    assert await _posted(operations, 25, at_once=at_once) == 10
    assert await _stored(operations) == 10


@pytest.mark.parametrize("at_once", [False, True])
async def test_counts_in_between_change_nothing_about_that(
    operations: Operations, clock: MovableClock, at_once: bool
) -> None:
    await operations.quotas.override(PROJECT, {"messages": 50})
    posted = 0
    for _ in range(12):
        posted += await _posted(operations, 5, at_once=at_once)
        clock.advance(ms=REFRESH_MS // 3)
    assert posted == await _stored(operations) == 50


async def test_a_post_fits_as_a_whole_or_not_at_all(operations: Operations) -> None:
    await operations.quotas.override(PROJECT, {"messages": 10})
    await post(operations, *[draft()] * 8)
    with pytest.raises(QuotaExceeded) as refused:
        await post(operations, *[draft()] * 3)
    assert refused.value.quota == "messages"
    await post(operations, *[draft()] * 2)
    assert await _stored(operations) == 10


async def test_bytes_are_admitted_up_to_the_quota_exactly(operations: Operations) -> None:
    await operations.quotas.override(PROJECT, {"body_bytes": 100})
    await post(operations, draft(b"1" * 60))
    with pytest.raises(QuotaExceeded) as refused:
        await post(operations, draft(b"1" * 41))
    assert refused.value.quota == "body_bytes"
    await post(operations, draft(b"1" * 40))


async def test_queues_are_admitted_up_to_the_quota_exactly(operations: Operations) -> None:
    await operations.quotas.override(PROJECT, {"queues": 2})
    assert await operations.queues.create(PROJECT, "a", {})
    await post(operations)
    for _ in range(5):
        assert not await operations.queues.create(PROJECT, "a", {})
        await post(operations)
    with pytest.raises(QuotaExceeded) as refused:
        await operations.queues.create(PROJECT, "b", {})
    assert refused.value.quota == "queues"
    with pytest.raises(QuotaExceeded):
        await operations.messages.post(
            PROJECT, "c", [draft()], client_id=CLIENT, document_bytes=1, idempotency_key=None
        )
    assert not await operations.queues.exists(PROJECT, "c")


async def test_a_claim_is_clipped_to_what_is_left_of_the_quota(operations: Operations) -> None:
    await operations.quotas.override(PROJECT, {"claimed_messages": 10})
    await post(operations, *[draft()] * 20)
    first = await claim(operations, limit=7)
    second = await claim(operations, limit=20)
    assert first
    assert second
    assert [len(one.claim.messages) for one in (first, second)] == [7, 3]
    with pytest.raises(QuotaExceeded) as refused:
        await claim(operations, limit=1)
    assert refused.value.quota == "claimed_messages"


async def test_released_messages_can_be_claimed_again(
    operations: Operations, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"claimed_messages": 4})
    await post(operations, *[draft()] * 20)
    held = await claim(operations, limit=20)
    assert held
    await operations.claims.release(PROJECT, QUEUE, held.claim.id)
    clock.advance(ms=RECOUNT_MS)
    again = await claim(operations, limit=20)
    assert again
    assert len(again.claim.messages) == 4


async def test_claims_that_find_nothing_use_nothing_up(operations: Operations) -> None:
    await operations.quotas.override(PROJECT, {"claimed_messages": 10})
    await operations.queues.create(PROJECT, QUEUE, {})
    for _ in range(50):
        assert await claim(operations, limit=10) is None
    await post(operations)
    assert await claim(operations, limit=10)


async def test_posts_that_are_refused_use_nothing_up(operations: Operations) -> None:
    await operations.quotas.override(PROJECT, {"messages": 10})
    for _ in range(20):
        with pytest.raises(InvalidRequest):
            await post(operations, draft(ttl_s=0))
    assert await _posted(operations, 10) == 10


async def test_posts_over_their_rate_use_no_quota_up(operations: Operations) -> None:
    await operations.quotas.override(PROJECT, {"messages": 5, "messages_per_s": 2})
    outcomes = await asyncio.gather(
        *(post(operations) for _ in range(50)), return_exceptions=True
    )
    assert not any(isinstance(outcome, QuotaExceeded) for outcome in outcomes)


async def test_deletes_make_room_as_soon_as_the_store_may_be_asked_again(
    operations: Operations, storage: FaultyStorage, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"messages": 3})
    ids = await post(operations, *[draft()] * 3)
    await operations.messages.delete_many(PROJECT, QUEUE, ids[:1], claim_ids=None)
    calls = Calls(storage)
    await _posted(operations, 100)
    assert calls.made[USAGE] == 0
    clock.advance(ms=RECOUNT_MS)
    assert await _posted(operations, 2) == 1
    assert calls.made[USAGE] == 1


async def test_a_project_at_its_quota_is_counted_five_times_a_second_at_most(
    operations: Operations, storage: FaultyStorage, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"messages": 3})
    await post(operations, *[draft()] * 3)
    calls = Calls(storage)
    for _ in range(100):
        assert await _posted(operations, 3, at_once=True) == 0
        clock.advance(ms=10)
    assert calls.made[USAGE] <= 6


async def test_far_from_its_quota_a_project_is_counted_once_a_second(
    operations: Operations, storage: FaultyStorage, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"messages": 1000})
    await post(operations)
    calls = Calls(storage)
    for _ in range(200):
        await post(operations)
        clock.advance(ms=10)
    await _background()
    assert calls.made[USAGE] <= 2


async def test_two_processes_exceed_a_quota_by_less_than_a_second_of_the_other(
    operations: Operations, elsewhere: Operations, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"messages": 100})
    per_step, step_ms = 2, 50
    for _ in range(100):
        for process in (operations, elsewhere):
            await _posted(process, per_step)
            await _background()
        clock.advance(ms=step_ms)
    in_a_second = per_step * 1000 // step_ms
    assert 100 <= await _stored(operations) <= 100 + in_a_second


async def test_limits_hold_at_once_here_and_soon_elsewhere(
    operations: Operations, elsewhere: Operations, clock: MovableClock
) -> None:
    await post(operations)
    assert await _posted(elsewhere, 1) == 1
    await operations.quotas.override(PROJECT, {"messages": 2})
    assert await _posted(operations, 1) == 0
    assert await _posted(elsewhere, 1) == 1
    clock.advance(ms=REREAD_MS)
    assert elsewhere.quotas.is_free_request(PROJECT)
    await _background()
    assert not elsewhere.quotas.is_free_request(PROJECT)
    assert await _posted(elsewhere, 1) == 0
    await operations.quotas.forget(PROJECT)
    assert await _posted(operations, 1) == 1


async def test_limits_that_change_while_they_are_read_are_read_again(
    operations: Operations, storage: FaultyStorage
) -> None:
    calls = Calls(storage)
    gate = calls.hold("quotas.get")
    early = asyncio.create_task(post(operations, *[draft()] * 2))
    await calls.until("quotas.get", 1)
    await operations.quotas.override(PROJECT, {"messages": 1})
    gate.set()
    with pytest.raises(QuotaExceeded):
        await early


async def test_an_override_holds_without_any_default_and_leaves_others_alone(
    operations: Operations,
) -> None:
    await operations.quotas.override("other", {"messages": 1})
    assert await _posted(operations, 5) == 5


async def test_limits_of_a_newer_version_do_not_stop_an_older_one(
    operations: Operations, storage: FaultyStorage
) -> None:
    await storage.quotas.put(PROJECT, b'{"messages": 2, "moons": 3}')
    assert await _posted(operations, 5) == 2
    assert project_limits.decode(b'{"moons": 3}') == {}


async def test_a_store_that_fails_behind_does_not_fail_what_is_known(
    operations: Operations, storage: FaultyStorage, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"messages": 100, "requests_per_s": 100})
    await operations.quotas.admit_request(PROJECT)
    await post(operations)

    async def fail(name: str) -> None:
        if name in (USAGE, "quotas.get"):
            raise StorageUnavailable("gone")

    storage.before = fail
    for _ in range(4):
        clock.advance(ms=REREAD_MS)
        await operations.quotas.admit_request(PROJECT)
        await post(operations)
        await _background()
    storage.recover()
    assert await _posted(operations, 200) == 95


async def test_a_store_that_fails_at_first_is_asked_again(
    operations: Operations, storage: FaultyStorage
) -> None:
    await operations.quotas.override(PROJECT, {"messages": 3})
    storage.fail(StorageUnavailable("gone"))
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            await post(operations)
    storage.recover()
    assert await _posted(operations, 5) == 3


async def test_what_the_store_did_not_answer_counts_until_it_is_known(
    operations: Operations, storage: FaultyStorage, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"messages": 2})
    await post(operations)

    async def fail(name: str) -> None:
        if name == "messages.post":
            raise StorageUnavailable("gone")

    storage.before = fail
    with pytest.raises(StorageUnavailable):
        await post(operations)
    storage.recover()
    clock.advance(ms=RECOUNT_MS)
    assert await _posted(operations, 3) == 1


async def test_a_request_that_is_cancelled_while_it_waits_breaks_no_count(
    operations: Operations, storage: FaultyStorage
) -> None:
    await operations.quotas.override(PROJECT, {"messages": 2})
    calls = Calls(storage)
    gate = calls.hold(USAGE)
    first, second = (asyncio.create_task(post(operations)) for _ in range(2))
    await calls.until(USAGE, 1)
    first.cancel()
    gate.set()
    await second
    assert first.cancelled()
    assert await _posted(operations, 5) == 1


async def test_a_clock_that_steps_back_does_not_stop_the_counting(
    operations: Operations, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"messages": 2})
    ids = await post(operations, *[draft()] * 2)
    step(clock, s=-3600)
    await operations.messages.delete_many(PROJECT, QUEUE, ids, claim_ids=None)
    assert await _posted(operations, 3) == 2


async def test_projects_that_are_active_are_not_forgotten_for_many_others(
    operations: Operations,
    storage: FaultyStorage,
    clock: MovableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("queues.operations.quotas._REMEMBERED", 100)
    await operations.quotas.override(PROJECT, {"requests_per_s": 1000})
    await operations.quotas.admit_request(PROJECT)
    for number in range(300):
        clock.advance(ms=REREAD_MS // 10)
        await operations.quotas.admit_request(f"passing {number}")
        await operations.quotas.admit_request(PROJECT)
        await _background()
    calls = Calls(storage)
    await operations.quotas.admit_request(PROJECT)
    assert calls.made["quotas.get"] == 0
    await operations.quotas.admit_request("passing 0")
    assert calls.made["quotas.get"] == 1


async def test_a_patch_of_a_queue_needs_no_quota(operations: Operations) -> None:
    await operations.quotas.override(PROJECT, {"queues": 1})
    await operations.queues.create(PROJECT, QUEUE, {})
    await operations.queues.update(PROJECT, QUEUE, [Change("add", "a", 1)])
