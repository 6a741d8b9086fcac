"""Slots move from node to node of a cluster while calls and hints go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.crc import key_slot

from queues.errors import StorageUnavailable
from storage_drivers.redis.cluster import Cluster
from storage_drivers.redis.scripts import command
from storage_drivers.redis.url import parse
from tests.clock import MovableClock
from tests.conformance.ear import Ear, queue_topic, signal_topic
from tests.conformance.handle import QueueHandle
from tests.drivers.redis_storage import fresh_url, opened
from tests.factories import new_messages
from tests.servers.redis import RedisCluster, RedisServer

pytestmark = pytest.mark.redis


@dataclass
class Moving:
    """A queue in a slot, the node that has the slot, and another one."""

    handle: QueueHandle
    slot: int
    source: RedisServer
    target: RedisServer
    cluster: RedisCluster

    def begin(self) -> None:
        with self.target.connect() as target, self.source.connect() as source:
            target.execute_command(
                "CLUSTER", "SETSLOT", self.slot, "IMPORTING", _id(self.source)
            )
            source.execute_command(
                "CLUSTER", "SETSLOT", self.slot, "MIGRATING", _id(self.target)
            )

    def move_keys(self, count: int) -> None:
        with self.source.connect() as source:
            keys = source.execute_command("CLUSTER", "GETKEYSINSLOT", self.slot, count)
            if keys:
                source.execute_command(
                    "MIGRATE", "127.0.0.1", self.target.port, "", 0, 5000, "KEYS", *keys
                )

    def end(self) -> None:
        for node in (self.target, self.source, *self.cluster.nodes):
            with node.connect() as connection:
                connection.execute_command(
                    "CLUSTER", "SETSLOT", self.slot, "NODE", _id(self.target)
                )


def _id(node: RedisServer) -> str:
    with node.connect() as connection:
        return str(connection.execute_command("CLUSTER", "MYID"))


@pytest.fixture
async def moving(redis_cluster: RedisCluster) -> AsyncIterator[Moving]:
    url = fresh_url(redis_cluster)
    slot = key_slot(b"{alpha:orders}")
    async with opened(url, timeout_ms=2000) as driver:
        handle = QueueHandle(driver, MovableClock())
        await handle.create()
        await handle.post(*new_messages(3))
        owners = [node for node in redis_cluster.nodes if _has(node, slot)]
        others = [node for node in redis_cluster.nodes if node not in owners]
        moving = Moving(handle, slot, owners[0], others[0], redis_cluster)
        yield moving
        moving.move_keys(100)
        moving.end()


def _has(node: RedisServer, slot: int) -> bool:
    with node.connect() as connection:
        return bool(connection.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot))


async def test_a_call_follows_its_slot_to_another_node(moving: Moving) -> None:
    moving.begin()
    moving.move_keys(100)
    moving.end()
    assert await moving.handle.counts() == (0, 3)
    assert await moving.handle.post()


async def test_while_all_keys_have_moved_and_the_slot_has_not_a_call_is_redirected_once(
    moving: Moving,
) -> None:
    moving.begin()
    moving.move_keys(100)
    # One key, so the new node can answer although the slot is not its own yet.
    assert await moving.handle.describe() is not None
    moving.end()
    assert await moving.handle.counts() == (0, 3)


async def test_a_call_whose_keys_are_on_two_nodes_waits_until_they_are_together(
    moving: Moving,
) -> None:
    moving.begin()
    moving.move_keys(2)
    posting = asyncio.create_task(moving.handle.post())
    done, _ = await asyncio.wait([posting], timeout=0.2)
    assert not done
    moving.move_keys(100)
    moving.end()
    assert await posting
    assert await moving.handle.counts() == (0, 4)


async def test_a_call_whose_keys_stay_apart_fails_in_time_and_changes_nothing(
    moving: Moving,
) -> None:
    moving.begin()
    moving.move_keys(2)
    with pytest.raises(StorageUnavailable):
        await asyncio.wait_for(moving.handle.post(), timeout=4)
    moving.move_keys(100)
    moving.end()
    assert await moving.handle.counts() == (0, 3)


async def test_hints_follow_their_slot_to_another_node(moving: Moving) -> None:
    hearer, wakeups = Ear(moving.handle.storage), moving.handle.storage.wakeups
    await hearer.watch(queue_topic("orders"), signal_topic("orders"), signal_topic("unmoved"))
    moving.begin()
    moving.move_keys(100)
    moving.end()
    await moving.handle.post()
    await hearer.hears(queue_topic("orders"))
    await hearer.watch(queue_topic("orders"))
    for topic in (queue_topic("orders"), signal_topic("orders"), signal_topic("unmoved")):
        await moving.handle.post()
        wakeups.tell(topic)
        await hearer.hears(topic)
    # Servers before Redis 7 tell all nodes, so nothing is missed there.
    assert hearer.heard.count(None) <= 1


async def test_a_slot_that_moves_disturbs_no_other_topic_of_its_node(moving: Moving) -> None:
    hearer = Ear(moving.handle.storage)
    others = [signal_topic(f"{number}") for number in range(30)]
    await hearer.watch(queue_topic("orders"), *others)
    with moving.source.connect() as source:
        before = source.client_list(_type="pubsub")
        moving.begin()
        moving.move_keys(100)
        moving.end()
        await moving.handle.post()
        await hearer.hears(queue_topic("orders"))
        after = source.client_list(_type="pubsub")
    assert [client["id"] for client in after] == [client["id"] for client in before] != []


async def test_a_topic_can_be_watched_that_moved_unnoticed(moving: Moving) -> None:
    hearer = Ear(moving.handle.storage)
    await moving.handle.describe()
    moving.begin()
    moving.move_keys(100)
    moving.end()
    await hearer.watch(queue_topic("orders"))
    await moving.handle.post()
    await hearer.hears(queue_topic("orders"))
    await moving.handle.post()
    await hearer.hears(queue_topic("orders"))


async def test_a_node_that_was_taken_out_of_the_cluster_is_not_believed(
    redis_cluster: RedisCluster, tmp_path: Path
) -> None:
    stray = RedisServer(tmp_path, "--cluster-enabled", "yes")
    stray.start()
    try:
        url = redis_cluster.url.replace("://", f"://127.0.0.1:{stray.port},")
        cluster = Cluster(parse(url), timeout_s=5.0)
        ports = {node.port for node in redis_cluster.nodes}
        for _ in range(30):
            cluster.doubt()
            assert (await cluster.address_of(0))[1] in ports
        assert await cluster.execute(0, command(b"PING")) == b"PONG"
        await cluster.close()
    finally:
        stray.kill()
