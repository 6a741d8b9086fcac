from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from queues.errors import StorageUnavailable
from tests.clock import MovableClock
from tests.conformance.ear import Ear, queue_topic
from tests.conformance.handle import QueueHandle
from tests.drivers.redis_replicas import Replicas
from tests.drivers.redis_storage import heard_in, opened
from tests.servers.process import missing
from tests.servers.redis import redis_binary

pytestmark = [pytest.mark.redis, pytest.mark.slow]


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    if redis_binary() is None:
        missing("redis-server")
    servers = Replicas(tmp_path)
    try:
        servers.start()
        yield servers
    finally:
        servers.kill()


async def test_after_a_failover_the_same_instance_uses_the_new_master(
    replicas: Replicas,
) -> None:
    async with opened(replicas.url) as driver:
        handle = QueueHandle(driver, MovableClock())
        await handle.create()
        seqs = await handle.post()
        with replicas.master.connect() as connection:
            assert connection.wait(1, 5000) == 1
        await asyncio.to_thread(replicas.fail_over)
        assert [message.seq for message in await handle.everything()] == seqs
        assert await handle.post() > seqs


async def test_after_a_failover_hints_come_from_the_new_master(replicas: Replicas) -> None:
    async with opened(replicas.url) as driver, opened(replicas.url) as other:
        handle, hearer = QueueHandle(driver, MovableClock()), Ear(other)
        await handle.create()
        await hearer.watch(queue_topic("orders"))
        with replicas.master.connect() as connection:
            assert connection.wait(1, 5000) == 1
        await asyncio.to_thread(replicas.fail_over)
        assert await hearer.hint() == [None]
        await handle.post()
        await hearer.hears(queue_topic("orders"))
        assert hearer.heard == [None, queue_topic("orders")]


async def test_hints_leave_a_demoted_master_for_the_new_one(replicas: Replicas) -> None:
    async with opened(replicas.url) as driver:
        hearer = Ear(driver)
        await hearer.watch(queue_topic("orders"))
        await asyncio.to_thread(replicas.switch_over)
        await hearer.hears(queue_topic("orders"))
        async with opened(replicas.url) as other:
            handle = QueueHandle(other, MovableClock())
            await handle.create()
            await handle.post()
        await hearer.hears(queue_topic("orders"))
        assert heard_in(replicas.replica, replicas.url) == {"{alpha:orders}:messages": 1}


async def test_without_a_master_calls_fail_in_time(replicas: Replicas) -> None:
    async with opened(replicas.url, timeout_ms=500) as driver:
        handle = QueueHandle(driver, MovableClock())
        await handle.create()
        replicas.kill()
        started_s = asyncio.get_running_loop().time()
        with pytest.raises(StorageUnavailable):
            await handle.post()
        assert asyncio.get_running_loop().time() - started_s < 2


async def test_a_demoted_master_is_left_for_the_new_one(replicas: Replicas) -> None:
    async with opened(replicas.url) as driver:
        handle = QueueHandle(driver, MovableClock())
        await handle.create()
        with replicas.master.connect() as connection:
            assert connection.wait(1, 5000) == 1
        await asyncio.to_thread(replicas.switch_over)
        # A connection to the old master learns of it by one refusal, or was cut before.
        for _ in range(2):
            try:
                await handle.post()
            except StorageUnavailable:
                continue
            break
        assert await handle.post()
        with replicas.replica.connect() as new:
            assert new.role()[0] == "master"
