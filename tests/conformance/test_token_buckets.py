"""Buckets of tokens: full at first, filled by time, and no token is given out twice."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest

from queues.model import Rate
from tests.conformance.collisions import COLLIDING
from tests.conformance.harness import Harness
from tests.conformance.project import ProjectHandle


async def test_a_bucket_is_full_at_first(alpha: ProjectHandle) -> None:
    rate = Rate(1, 10)
    assert [await alpha.take(4, rate) for _ in range(4)] == [4, 4, 2, 0]


async def test_no_more_is_taken_than_a_bucket_can_hold(alpha: ProjectHandle) -> None:
    assert await alpha.take(99, Rate(1, 10)) == 10
    alpha.clock.advance(s=3600)
    assert await alpha.take(99, Rate(1, 10)) == 10
    assert await alpha.take(99, Rate(1, 10)) == 0


async def test_nothing_can_be_asked_for_and_nothing_can_be_held(alpha: ProjectHandle) -> None:
    assert await alpha.take(0, Rate(1, 10)) == 0
    assert await alpha.take(99, Rate(1, 10)) == 10
    assert await alpha.take(1, Rate(1, 0), bucket="empty") == 0


async def test_time_fills_a_bucket(alpha: ProjectHandle) -> None:
    rate = Rate(10, 100)
    await alpha.take(100, rate)
    for step_ms, tokens in ((500, 5), (100, 1), (99, 0), (1, 1), (2000, 20), (60_000, 100)):
        alpha.clock.advance(ms=step_ms)
        assert await alpha.take(1000, rate) == tokens
        assert await alpha.take(1, rate) == 0


async def test_what_is_not_taken_stays(alpha: ProjectHandle) -> None:
    rate = Rate(10, 100)
    await alpha.take(70, rate)
    alpha.clock.advance(s=1)
    assert await alpha.take(30, rate) == 30
    assert await alpha.take(99, rate) == 10


@pytest.mark.parametrize("per_s", [0.1, 0.3, 0.7, 2.5, 3, 333.3, 1000])
@pytest.mark.parametrize("step_ms", [1, 7, 100])
async def test_asking_often_neither_loses_nor_gains(
    alpha: ProjectHandle, per_s: float, step_ms: int
) -> None:
    rate, steps = Rate(per_s, 1000), 300
    await alpha.take(1000, rate)
    taken = 0
    for step in range(1, steps + 1):
        alpha.clock.advance(ms=step_ms)
        taken += await alpha.take(step % 3 + 200, rate)
        assert taken == int(Fraction(repr(per_s)) * step_ms * step / 1000)


async def test_asking_in_vain_costs_nothing(alpha: ProjectHandle) -> None:
    rate = Rate(0.01, 5)
    await alpha.take(5, rate)
    for _ in range(99):
        alpha.clock.advance(s=1)
        assert await alpha.take(1, rate) == 0
    alpha.clock.advance(s=1)
    assert await alpha.take(2, rate) == 1


async def test_a_large_bucket_counts_small_amounts(alpha: ProjectHandle) -> None:
    rate = Rate(0.25, 10_000_000)
    assert await alpha.take(1, rate) == 1
    assert await alpha.take(10_000_000, rate) == 9_999_999
    alpha.clock.advance(s=10)
    assert await alpha.take(10_000_000, rate) == 2
    alpha.clock.advance(s=2)
    assert await alpha.take(10_000_000, rate) == 1


async def test_a_rate_of_nothing_fills_nothing(alpha: ProjectHandle) -> None:
    rate = Rate(0, 2)
    assert await alpha.take(2, rate) == 2
    alpha.clock.advance(s=10_000_000)
    assert await alpha.take(1, rate) == 0


async def test_a_clock_that_steps_back_adds_nothing(alpha: ProjectHandle) -> None:
    rate = Rate(1, 100)
    await alpha.take(100, rate)
    alpha.clock.advance(s=60)
    assert await alpha.take(99, rate) == 60
    for ago_s in (60, 30, 1, 60, 0):
        assert await alpha.take(99, rate, ago_s=ago_s) == 0
    alpha.clock.advance(s=2)
    assert await alpha.take(99, rate, ago_s=1.5) == 0
    assert await alpha.take(99, rate) == 2


async def test_servers_whose_clocks_differ_gain_nothing(twins: list[ProjectHandle]) -> None:
    rate = Rate(1, 100)
    await twins[0].take(100, rate)
    taken = 0
    for _ in range(20):
        twins[0].clock.advance(s=1)
        taken += await twins[0].take(99, rate)
        taken += await twins[1].take(99, rate, ago_s=30)
    assert taken == 20


async def test_a_bucket_that_is_behind_gives_what_it_holds(alpha: ProjectHandle) -> None:
    rate = Rate(1, 100)
    assert await alpha.take(40, rate) == 40
    assert await alpha.take(50, rate, ago_s=30) == 50
    assert await alpha.take(50, rate, ago_s=60) == 10


async def test_the_rate_of_the_call_counts(alpha: ProjectHandle) -> None:
    await alpha.take(10, Rate(1, 10))
    alpha.clock.advance(s=10)
    assert await alpha.take(99, Rate(2, 50)) == 20
    alpha.clock.advance(s=10)
    assert await alpha.take(99, Rate(0.5, 50)) == 5


async def test_a_bucket_grows_and_shrinks_with_its_burst(alpha: ProjectHandle) -> None:
    assert await alpha.take(5, Rate(1, 10)) == 5
    assert await alpha.take(0, Rate(1, 1000)) == 0
    alpha.clock.advance(s=1)
    assert await alpha.take(1000, Rate(1, 1000)) == 6
    alpha.clock.advance(s=500)
    assert await alpha.take(1, Rate(1, 20)) == 1
    assert await alpha.take(1000, Rate(1, 1000)) == 19


async def test_buckets_and_projects_do_not_share_tokens(
    alpha: ProjectHandle,
) -> None:
    rate = Rate(1, 10)
    for row in COLLIDING:
        for project, bucket in row:
            await alpha.on(project=project).take(99, rate, bucket=f"{bucket}2")
        for tokens, (project, bucket) in enumerate(row, start=1):
            handle = alpha.on(project=project)
            assert await handle.take(tokens, rate, bucket=f"{bucket}1") == tokens
        for tokens, (project, bucket) in enumerate(row, start=1):
            handle = alpha.on(project=project)
            assert await handle.take(99, rate, bucket=f"{bucket}1") == 10 - tokens
        alpha.clock.advance(s=3600)


async def test_concurrent_calls_share_no_token(twins: list[ProjectHandle]) -> None:
    rate = Rate(10, 50)
    for step_s, tokens in ((0, 50), (2, 20), (0.3, 3)):
        twins[0].clock.advance(s=step_s)
        taken = await asyncio.gather(*(twins[n % 2].take(3, rate) for n in range(40)))
        assert max(taken) <= 3
        assert sum(taken) == tokens


async def test_a_sweep_neither_fills_nor_empties_a_bucket(alpha: ProjectHandle) -> None:
    queue, rate = await alpha.queue("any"), Rate(0.5, 10)
    await alpha.take(99, rate)
    for step_s, tokens in ((0, 0), (19, 9), (20, 10), (0, 0), (3600, 10), (0, 0)):
        alpha.clock.advance(s=step_s)
        await queue.sweep_all()
        assert await alpha.take(99, rate) == tokens


async def test_a_bucket_outlives_the_instance_that_used_it(
    alpha: ProjectHandle, harness: Harness
) -> None:
    rate = Rate(0.1, 10)
    await alpha.take(8, rate)
    alpha.clock.advance(s=5)
    await alpha.take(1, rate)
    await harness.close(alpha.storage)
    again = alpha.on(storage=await harness.another())
    again.clock.advance(s=5)
    assert await again.take(99, rate) == 2
