"""The sweep finds every queue, shares the work, and clears up after interrupted creations."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from queues.errors import StorageUnavailable
from storage_drivers.redis import Driver
from storage_drivers.redis.layout import SHARDS, Layout
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle
from tests.drivers.redis_storage import as_user, fresh_url, keys, opened, orders
from tests.factories import new_message, new_messages
from tests.servers.redis import RedisCluster, RedisServer

pytestmark = pytest.mark.redis

#: Taking this away from a user ends a creation after the queue was announced.
BEFORE_CREATING = "-exists"


async def _sweep_all(storage: Driver, clock: MovableClock) -> int:
    dealt = 0
    while batch := await storage.sweep(limit=20, now_ms=clock.now_ms()):
        dealt += batch
    return dealt


async def test_sweeps_of_two_processes_share_what_is_due(redis_server: RedisServer) -> None:
    url, clock = fresh_url(redis_server), MovableClock()
    async with opened(url) as one, opened(url) as other:
        for n in range(40):
            handle = QueueHandle(one, clock, queue=f"queue-{n}")
            await handle.create()
            await handle.post(*new_messages(10, ttl_s=60))
        clock.advance(s=61)
        dealt = await asyncio.gather(_sweep_all(one, clock), _sweep_all(other, clock))
    assert sum(dealt) == 400
    assert all(dealt)


async def test_a_sweep_deals_with_no_more_than_its_limit(redis_server: RedisServer) -> None:
    async with orders(redis_server) as handle:
        await handle.post(*new_messages(25, ttl_s=60))
        handle.clock.advance(s=61)
        dealt = [await handle.storage.sweep(limit=10, now_ms=handle.now_ms) for _ in range(4)]
    assert dealt == [10, 10, 5, 0]


async def test_a_creation_that_was_interrupted_is_seen_by_nobody_and_swept(
    redis_server: RedisServer,
) -> None:
    url, clock = fresh_url(redis_server), MovableClock()
    async with opened(url) as driver:
        handle = QueueHandle(driver, clock)
        async with as_user(handle, redis_server, url, BEFORE_CREATING) as crashing:
            with pytest.raises(StorageUnavailable):
                await crashing.create()
        assert await driver.queues.list("alpha", marker="", limit=10) == []
        assert await driver.queues.count("alpha") == 1
        for _ in range(3):
            await _sweep_all(driver, clock)
            clock.advance(s=61)
        assert await driver.queues.count("alpha") == 0
    with redis_server.connect() as connection:
        assert keys(connection, url) == []


async def test_a_queue_announced_anew_is_not_forgotten_for_an_old_absence(
    redis_server: RedisServer,
) -> None:
    url, clock = fresh_url(redis_server), MovableClock()
    async with opened(url) as driver:
        handle = QueueHandle(driver, clock)
        async with as_user(handle, redis_server, url, BEFORE_CREATING) as crashing:
            for _ in range(2):
                with pytest.raises(StorageUnavailable):
                    await crashing.create()
                await _sweep_all(driver, clock)
                clock.advance(s=61)
    with redis_server.connect() as connection:
        assert any(key.endswith(":due") for key in keys(connection, url))


async def test_a_creation_among_sweeps_is_listed_and_swept_for_good(
    redis_server: RedisServer,
) -> None:
    url, clock = fresh_url(redis_server), MovableClock()
    async with opened(url) as driver:
        handle = QueueHandle(driver, clock)
        for life in range(1, 4):
            # The old entry is old enough to be forgotten when the queue comes back.
            await _sweep_all(driver, clock)
            clock.advance(s=61)
            reborn = handle.on(version=life)
            await asyncio.gather(reborn.create(), _sweep_all(driver, clock))
            assert await driver.queues.count("alpha") == 1
            await reborn.post(*new_messages(3, ttl_s=60))
            clock.advance(s=61)
            assert await _sweep_all(driver, clock) == 3
            await reborn.drop()
            assert await driver.queues.count("alpha") == 0


async def test_a_late_end_of_a_deletion_takes_no_new_queue_out_of_the_index(
    redis_server: RedisServer,
) -> None:
    async with orders(redis_server) as handle:
        queues = handle.storage.queues
        await handle.drop()
        await handle.on(version=2).create()
        await queues.unregister("alpha", "orders", token=b"1", stale_ms=0)  # type: ignore[attr-defined]
        listed = await queues.list("alpha", marker="", limit=10)
    assert [queue.name for queue in listed] == ["orders"]


async def test_a_deleted_queue_leaves_only_what_the_store_forgets_by_itself(
    redis_server: RedisServer,
) -> None:
    url, clock = fresh_url(redis_server), MovableClock()
    async with opened(url) as driver:
        handle = QueueHandle(driver, clock)
        await handle.create()
        await handle.post(*new_messages(5))
        await handle.claim_some(2)
        await handle.drop()
        for _ in range(3):
            clock.advance(s=61)
            await _sweep_all(driver, clock)
    with redis_server.connect() as connection:
        left = keys(connection, url)
        assert all(connection.pttl(key) > 0 for key in left)
    assert {key.split(":")[3] for key in left} == {"seq", "claim"}


async def test_more_queues_than_one_sweep_visits_all_have_their_turn(
    redis_server: RedisServer,
) -> None:
    clock = MovableClock()
    async with opened(fresh_url(redis_server)) as driver:
        queues = [QueueHandle(driver, clock, queue=f"queue-{n}") for n in range(1200)]
        await asyncio.gather(*(queue.create() for queue in queues))
        await asyncio.gather(*(queue.post(new_message(ttl_s=60)) for queue in queues))
        dealt = 0
        for _ in range(3):
            clock.advance(s=60)
            dealt += await driver.sweep(limit=1024, now_ms=clock.now_ms())
    assert dealt == len(queues)


async def test_queues_are_swept_though_a_node_without_them_is_down(
    redis_cluster: RedisCluster,
) -> None:
    *living, dying = redis_cluster.nodes
    url, clock = fresh_url(redis_cluster), MovableClock()
    async with opened(url, timeout_ms=1000) as driver:
        names = [name for name in map(str, range(40)) if _is_alive(url, name)]
        queues = [QueueHandle(driver, clock, queue=name) for name in names]
        for queue in queues:
            await queue.create()
            await queue.post(new_message(ttl_s=60))
        clock.advance(s=60)
        for node in living:
            with node.connect() as connection:
                connection.config_set("cluster-require-full-coverage", "no")
        await asyncio.to_thread(dying.kill)
        try:
            for _ in range(SHARDS):
                clock.advance(s=1)
                with contextlib.suppress(StorageUnavailable):
                    await driver.sweep(limit=100, now_ms=clock.now_ms())
        finally:
            await asyncio.to_thread(redis_cluster.restart)
        clock.advance(s=1)
        assert await driver.sweep(limit=100, now_ms=clock.now_ms()) == 0


def _is_alive(url: str, queue: str) -> bool:
    """Say whether a queue and its list are in the first two thirds of the slots."""
    layout = Layout(url.rpartition("=")[2])
    place = layout.queue("alpha", queue)
    return max(place.slot, layout.sweep_of(place.tag).slot) < 16384 * 2 // 3
