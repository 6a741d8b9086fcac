"""Commands of one turn of the event loop leave together, and harm one another in nothing."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from queues.errors import StorageUnavailable
from storage_drivers.redis.connection import connect
from storage_drivers.redis.pipeline import Pipeline
from storage_drivers.redis.scripts import command
from storage_drivers.redis.url import parse
from tests.drivers.redis_storage import fresh_url, opened, orders, reads
from tests.servers.redis import RedisCluster, RedisServer

pytestmark = pytest.mark.redis


async def test_posts_of_one_turn_leave_in_one_write(redis_server: RedisServer) -> None:
    async with orders(redis_server) as handle:
        before = reads(redis_server)
        await asyncio.gather(*(handle.post() for _ in range(100)))
        # The server reads 16 KB at a time, and the counting connections are read as well.
        assert reads(redis_server) - before < 20
        assert await handle.counts() == (0, 100)


async def test_four_posts_of_one_turn_cost_the_server_one_read(
    redis_server: RedisServer,
) -> None:
    async with orders(redis_server) as handle:
        counts = []
        for calls in (1, 1, 4):
            before = reads(redis_server)
            await asyncio.gather(*(handle.post() for _ in range(calls)))
            counts.append(reads(redis_server) - before)
    assert counts[1] == counts[2]


async def test_a_few_connections_serve_any_number_of_calls(redis_server: RedisServer) -> None:
    async with orders(redis_server) as handle:
        with redis_server.connect() as connection:
            before = int(connection.info("clients")["connected_clients"])
            for _ in range(20):
                await asyncio.gather(*(handle.post() for _ in range(100)))
            assert int(connection.info("clients")["connected_clients"]) - before <= 4


async def test_cancelled_calls_leave_the_others_their_answers(
    redis_server: RedisServer,
) -> None:
    async with orders(redis_server) as handle:
        for turns in range(6):
            tasks = [asyncio.create_task(handle.post()) for _ in range(50)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            posted = [answer[0] for answer in answers if isinstance(answer, list)]
            assert len(set(posted)) == len(posted) >= 25
            found = {message.seq for message in await handle.get(*posted)}
            assert found == set(posted)


async def test_one_failing_call_fails_alone(redis_server: RedisServer) -> None:
    async with orders(redis_server) as handle:
        missing = handle.on(queue="missing")
        calls = [
            handle.post(),
            missing.post(),
            handle.post(),
            missing.update(b"{}", expected_version=1, version=2),
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(answer).__name__ for answer in answers] == [
            "list", "QueueChanged", "list", "QueueNotFound",
        ]  # fmt: skip


async def test_a_server_that_hangs_is_given_up_in_time_and_used_again(
    redis_server: RedisServer,
) -> None:
    async with orders(redis_server, timeout_ms=300) as handle:
        loop = asyncio.get_running_loop()
        redis_server.pause()
        try:
            started_s = loop.time()
            answers = await asyncio.gather(
                *(handle.describe() for _ in range(2000)), return_exceptions=True
            )
            assert loop.time() - started_s < 1.5
        finally:
            redis_server.resume()
        assert all(isinstance(answer, StorageUnavailable) for answer in answers)
        assert await handle.describe() is not None


async def test_a_killed_server_loses_nothing_acknowledged(redis_server: RedisServer) -> None:
    async with orders(redis_server) as handle:
        acknowledged: list[int] = []
        is_under_way = asyncio.Event()

        async def post_until_it_fails() -> None:
            while True:
                acknowledged.extend(await handle.post())
                if len(acknowledged) > 200:
                    is_under_way.set()

        writers = [asyncio.create_task(post_until_it_fails()) for _ in range(20)]
        await is_under_way.wait()
        await asyncio.to_thread(redis_server.kill)
        failures = await asyncio.gather(*writers, return_exceptions=True)
        assert all(isinstance(failure, StorageUnavailable) for failure in failures)
        with pytest.raises(StorageUnavailable):
            await handle.stats()
        await asyncio.to_thread(redis_server.start)
        found = {message.seq for message in await handle.get(*acknowledged)}
        assert found == set(acknowledged)


async def test_commands_to_a_cluster_leave_in_one_write_a_node(
    redis_cluster: RedisCluster,
) -> None:
    async with opened(fresh_url(redis_cluster)) as driver:
        calls = [driver.queues.get("alpha", f"queue-{n}") for n in range(300)]
        await driver.queues.get("alpha", "warm")
        before = sum(map(reads, redis_cluster.nodes))
        await asyncio.gather(*calls)
        assert sum(map(reads, redis_cluster.nodes)) - before < 40


async def test_a_call_given_up_before_it_left_does_not_fail_a_later_one(
    redis_server: RedisServer,
) -> None:
    target = parse(redis_server.url)
    pipeline = Pipeline(partial(connect, target, target.addresses[0], 1.0), timeout_s=0.5)
    pipeline.submit(command(b"PING")).cancel()
    await asyncio.sleep(0.6)
    assert await pipeline.submit(command(b"PING")) == b"PONG"
    await pipeline.close()
