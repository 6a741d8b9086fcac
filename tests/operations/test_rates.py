"""Rates: what is admitted over time, in how many calls to the store, and what refusals say."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from queues.errors import RateExceeded, StorageUnavailable
from queues.operations import Operations
from queues.operations.quotas import Quotas
from tests.clock import MovableClock
from tests.operations.calls import PROJECT, draft, post
from tests.operations.counting import Calls, step
from tests.transport.faults import FaultyStorage

TAKE = "quotas.take"


@pytest.fixture(autouse=True)
async def no_unseen_failures() -> AsyncIterator[None]:
    """Fail a test that leaves the failure of a background task to nobody."""
    unseen: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unseen.append(context["message"]))
    yield
    gc.collect()
    assert unseen == []


async def _admitted(quotas: Quotas, tries: int, project: str = PROJECT) -> int:
    admitted = 0
    for _ in range(tries):
        try:
            await quotas.admit_request(project)
        except RateExceeded:
            continue
        admitted += 1
    return admitted


async def _refusal(operations: Operations, messages: int = 1) -> float:
    with pytest.raises(RateExceeded) as refused:
        await post(operations, *[draft()] * messages)
    return refused.value.retry_after_s


@pytest.mark.parametrize("per_s", [0.5, 3, 20, 1000])
async def test_two_processes_together_admit_what_the_rate_gives_in_a_minute(
    operations: Operations, elsewhere: Operations, clock: MovableClock, per_s: float
) -> None:
    await operations.quotas.override(PROJECT, {"requests_per_s": per_s})
    steps, step_ms = 600, 100
    offered = max(2, int(per_s * 0.1 * 3))
    admitted = 0
    for _ in range(steps):
        for process in (operations, elsewhere):
            admitted += await _admitted(process.quotas, offered)
        clock.advance(ms=step_ms)
    burst, chunk = max(1, int(per_s)), max(1, int(per_s * 0.1))
    given = per_s * (steps - 1) * step_ms / 1000
    assert given - 1 <= admitted <= given + burst
    assert admitted >= given + burst - 2 * chunk - 1


async def test_a_thousand_requests_at_their_rate_ask_the_store_ten_times(
    operations: Operations, storage: FaultyStorage, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"requests_per_s": 1000})
    calls = Calls(storage)
    for _ in range(1000):
        await operations.quotas.admit_request(PROJECT)
        clock.advance(ms=1)
    assert calls.made[TAKE] == 10


async def test_a_refused_project_asks_the_store_ten_times_a_second_at_most(
    operations: Operations, storage: FaultyStorage, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"requests_per_s": 20})
    await _admitted(operations.quotas, 40)
    calls = Calls(storage)
    assert await _admitted(operations.quotas, 1000) == 0
    assert calls.made[TAKE] == 0
    for _ in range(1000):
        await _admitted(operations.quotas, 2)
        clock.advance(ms=1)
    assert calls.made[TAKE] <= 21


async def test_many_at_once_share_the_calls_to_the_store(
    operations: Operations, storage: FaultyStorage
) -> None:
    await operations.quotas.override(PROJECT, {"requests_per_s": 1000})
    calls = Calls(storage)
    await asyncio.gather(*(operations.quotas.admit_request(PROJECT) for _ in range(500)))
    assert calls.made[TAKE] == 5
    assert calls.made["quotas.get"] == 1


@pytest.mark.parametrize("messages", [1, 3, 10, 35])
async def test_a_repeat_after_the_time_of_the_refusal_is_admitted(
    operations: Operations, clock: MovableClock, messages: int
) -> None:
    await operations.quotas.override(PROJECT, {"messages_per_s": 10})
    for _ in range(10):
        await post(operations)
    needed_ms = min(messages, 10) * 100
    assert await _refusal(operations, messages) * 1000 == pytest.approx(needed_ms)
    clock.advance(ms=needed_ms - 1)
    again_s = await _refusal(operations, messages)
    clock.advance(s=again_s)
    await post(operations, *[draft()] * messages)


async def test_a_large_post_that_waits_does_not_close_the_bucket_for_small_ones(
    operations: Operations, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"messages_per_s": 10})
    for _ in range(10):
        await post(operations)
    assert await _refusal(operations, 10) == pytest.approx(1)
    assert await _refusal(operations) == pytest.approx(0.1)
    clock.advance(ms=100)
    await post(operations)


async def test_a_post_larger_than_the_burst_waits_for_a_full_bucket_and_leaves_a_debt(
    operations: Operations, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"messages_per_s": 10})
    await post(operations, *[draft()] * 35)
    assert await _refusal(operations) == pytest.approx(2.6)
    clock.advance(s=1)
    assert await _refusal(operations) == pytest.approx(1.6)
    clock.advance(ms=1600)
    await post(operations)
    assert await _refusal(operations, 35) == pytest.approx(1)
    clock.advance(s=1)
    await post(operations, *[draft()] * 35)


async def test_a_debt_is_paid_by_time_and_not_by_those_who_ask(
    operations: Operations, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"messages_per_s": 10})
    await post(operations, *[draft()] * 60)
    clock.advance(s=5)
    assert await _refusal(operations) == pytest.approx(0.1)
    clock.advance(ms=100)
    await post(operations)


async def test_large_posts_of_two_processes_do_not_exceed_the_rate_for_long(
    operations: Operations, elsewhere: Operations, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"messages_per_s": 10})
    posted = 0
    for _ in range(1200):
        for process in (operations, elsewhere):
            try:
                await process.messages.post(
                    PROJECT,
                    "q",
                    [draft()] * 50,
                    client_id="c",
                    document_bytes=10,
                    idempotency_key=None,
                )
            except RateExceeded:
                continue
            posted += 50
        clock.advance(ms=50)
    assert 550 <= posted <= 10 * 60 + 10 + 2 * 50


async def test_a_rate_below_one_a_second_is_kept(
    operations: Operations, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"requests_per_s": 0.5})
    await operations.quotas.admit_request(PROJECT)
    with pytest.raises(RateExceeded) as refused:
        await operations.quotas.admit_request(PROJECT)
    assert refused.value.retry_after_s == pytest.approx(2)
    clock.advance(s=2)
    assert await _admitted(operations.quotas, 5) == 1


async def test_a_lower_rate_takes_back_what_was_taken_ahead_at_a_higher_one(
    operations: Operations,
) -> None:
    await operations.quotas.override(PROJECT, {"requests_per_s": 10_000})
    await operations.quotas.admit_request(PROJECT)
    await operations.quotas.override(PROJECT, {"requests_per_s": 1})
    assert await _admitted(operations.quotas, 100) <= 2


async def test_a_higher_rate_opens_the_bucket_at_once(
    operations: Operations, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"requests_per_s": 0.001})
    assert await _admitted(operations.quotas, 2) == 1
    await operations.quotas.override(PROJECT, {"requests_per_s": 1000})
    clock.advance(ms=1)
    assert await _admitted(operations.quotas, 1) == 1


async def test_a_failure_of_the_store_meets_all_who_wait_at_once(
    operations: Operations, storage: FaultyStorage
) -> None:
    await operations.quotas.override(PROJECT, {"requests_per_s": 1000})
    await operations.quotas.admit_request(PROJECT)
    await _admitted(operations.quotas, 99)
    calls = Calls(storage)
    gate = calls.hold(TAKE)
    waiting = [asyncio.create_task(operations.quotas.admit_request(PROJECT)) for _ in range(50)]
    await calls.until(TAKE, 1)
    storage.after = _unavailable
    gate.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    assert calls.made[TAKE] == 1
    storage.recover()
    await operations.quotas.admit_request(PROJECT)


async def _unavailable(name: str) -> None:
    raise StorageUnavailable("gone")


async def test_a_request_that_is_cancelled_while_it_waits_loses_no_tokens(
    operations: Operations, storage: FaultyStorage
) -> None:
    await operations.quotas.override(PROJECT, {"requests_per_s": 10})
    await operations.quotas.admit_request(PROJECT)
    calls = Calls(storage)
    gate = calls.hold(TAKE)
    first, second = (
        asyncio.create_task(operations.quotas.admit_request(PROJECT)) for _ in range(2)
    )
    await calls.until(TAKE, 1)
    first.cancel()
    gate.set()
    await second
    assert first.cancelled()
    storage.recover()
    assert await _admitted(operations.quotas, 20) == 8


async def test_a_failure_that_nobody_waits_for_any_more_is_no_unseen_one(
    operations: Operations, storage: FaultyStorage
) -> None:
    await operations.quotas.override(PROJECT, {"requests_per_s": 10})
    await operations.quotas.admit_request(PROJECT)
    calls = Calls(storage)
    gate = calls.hold(TAKE)
    only = asyncio.create_task(operations.quotas.admit_request(PROJECT))
    await calls.until(TAKE, 1)
    storage.after = _unavailable
    only.cancel()
    gate.set()
    await asyncio.wait([only])
    storage.recover()
    assert await _admitted(operations.quotas, 1) == 1


async def test_a_clock_that_steps_back_does_not_close_a_bucket_that_has_tokens(
    operations: Operations, elsewhere: Operations, clock: MovableClock
) -> None:
    await operations.quotas.override(PROJECT, {"requests_per_s": 2})
    clock.advance(s=3600)
    assert await _admitted(operations.quotas, 5) == 2
    step(clock, s=-3600)
    await operations.quotas.override("other", {"requests_per_s": 2})
    assert await _admitted(operations.quotas, 5, "other") == 2
    clock.advance(s=3601)
    assert await _admitted(operations.quotas, 5) == 2
