"""What the driver asks of a server's settings, and what it says and costs there."""

from __future__ import annotations

import logging
import re
from importlib.resources import files

import pytest

from queues.errors import ConfigurationError, StorageUnavailable
from queues.model import Refusal
from tests.clock import MovableClock
from tests.conformance.ear import Ear, queue_topic
from tests.conformance.handle import QueueHandle
from tests.drivers.redis_storage import (
    as_user,
    commands,
    fresh_url,
    keys,
    mark_key,
    opened,
    orders,
    setting,
)
from tests.factories import new_message
from tests.servers.redis import RedisCluster, RedisServer

pytestmark = pytest.mark.redis

MESSAGES = 10_000
DEPTH = 20_000


async def _open(url: str) -> None:
    async with opened(url):
        pass


async def test_a_server_that_may_evict_messages_is_refused(redis_server: RedisServer) -> None:
    with (
        setting(redis_server, maxmemory_policy="allkeys-lru"),
        pytest.raises(ConfigurationError, match="noeviction"),
    ):
        await _open(fresh_url(redis_server))


async def test_one_node_of_a_cluster_that_may_evict_is_refused(
    redis_cluster: RedisCluster,
) -> None:
    with (
        setting(redis_cluster.nodes[1], maxmemory_policy="volatile-ttl"),
        pytest.raises(ConfigurationError, match="noeviction"),
    ):
        await _open(fresh_url(redis_cluster))


@pytest.mark.parametrize(
    ("settings", "durability", "warns"),
    [
        ({"appendfsync": "always"}, "synced to disk before every answer", False),
        ({"appendfsync": "everysec"}, "loses up to a second", False),
        ({"appendfsync": "no"}, "operating system", False),
        ({"appendonly": "no", "save": "60 1"}, "since the last one", True),
        ({"appendonly": "no", "save": ""}, "a restart loses everything", True),
    ],
)
async def test_health_says_what_a_crash_loses(
    redis_server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    settings: dict[str, str],
    durability: str,
    warns: bool,
) -> None:
    with setting(redis_server, **settings), caplog.at_level(logging.WARNING):
        async with opened(fresh_url(redis_server)) as driver:
            health = await driver.health()
    assert durability in health.durability
    assert bool(health.warnings) == warns
    assert bool(caplog.records) == warns


async def test_of_a_cluster_the_weakest_node_counts(redis_cluster: RedisCluster) -> None:
    with setting(redis_cluster.nodes[2], appendfsync="everysec"):
        async with opened(fresh_url(redis_cluster)) as driver:
            assert "up to a second" in (await driver.health()).durability


async def test_a_server_that_hides_its_settings_is_used_with_a_warning(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = fresh_url(redis_server)
    async with opened(url) as driver:
        handle = QueueHandle(driver, MovableClock())
        async with as_user(handle, redis_server, url, "-config", "-info") as restricted:
            assert "not known" in (await restricted.storage.health()).durability
    assert "not known" in caplog.text


async def test_the_rights_that_the_readme_names_are_enough(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = fresh_url(redis_server)
    readme = (files("storage_drivers.redis") / "README.md").read_text()
    found = re.search(r"needs the keys `(.*?)`,? .*`(&.*?)` and\s+`(.*?)`", readme, re.DOTALL)
    assert found is not None
    names = " ".join(found.groups()).replace("<namespace>", url.rpartition("=")[2])
    async with opened(url) as driver:
        handle = QueueHandle(driver, MovableClock())
        rules = ("-@all", "resetkeys", "resetchannels", *names.split())
        async with as_user(handle, redis_server, url, *rules) as restricted:
            hearer = Ear(restricted.storage)
            await restricted.create()
            await hearer.watch(queue_topic("orders"))
            await restricted.post()
            claim = await restricted.claim_some()
            await restricted.release(claim.id)
            await hearer.hears(queue_topic("orders"))
            assert hearer.heard[0] == queue_topic("orders")
            await restricted.storage.sweep(limit=10, now_ms=handle.now_ms)
    assert "not known" not in caplog.text


async def test_data_of_another_layout_is_refused(redis_server: RedisServer) -> None:
    url = fresh_url(redis_server)
    async with opened(url) as driver:
        await QueueHandle(driver, MovableClock()).create()
    await _open(url)
    with redis_server.connect() as connection:
        connection.set(mark_key(url), "9")
        with pytest.raises(ConfigurationError, match="layout 9"):
            await _open(url)
        # The first layout had no mark.
        connection.delete(mark_key(url))
        with pytest.raises(ConfigurationError, match="layout 1"):
            await _open(url)


async def test_scripts_that_the_server_forgot_are_loaded_again(
    redis_server: RedisServer,
) -> None:
    async with orders(redis_server) as handle:
        with redis_server.connect() as connection:
            connection.script_flush()
        assert len(await handle.post()) == 1
        assert await handle.counts() == (0, 1)


async def test_a_server_out_of_memory_is_unavailable_and_changes_nothing(
    redis_server: RedisServer,
) -> None:
    async with orders(redis_server) as handle:
        seqs = await handle.post()
        with setting(redis_server, maxmemory="1"), pytest.raises(StorageUnavailable):
            await handle.post()
        assert [message.seq for message in await handle.everything()] == seqs
        assert await handle.post() > seqs


async def test_a_server_out_of_memory_can_be_drained(redis_server: RedisServer) -> None:
    async with orders(redis_server) as handle:
        seqs = await handle.post(*[new_message(delay_s=delay_s) for delay_s in (0, 0, 5)])
        handle.clock.advance(s=6)
        with setting(redis_server, maxmemory="1"):
            with pytest.raises(StorageUnavailable):
                await handle.post()
            assert await handle.listed() == seqs
            claim = await handle.claim_some(2, lease_s=60)
            await handle.renew(claim.id)
            refused = await handle.delete(seqs[2], claim_ids=[claim.id])
            assert refused == {seqs[2]: Refusal.NOT_CLAIMED}
            assert await handle.delete(seqs[0], claim_ids=[claim.id]) == {}
            await handle.release(claim.id)
            assert await handle.pop(5) == seqs[1:]
        assert await handle.counts() == (0, 0)


async def test_a_message_takes_no_more_memory_than_promised(redis_server: RedisServer) -> None:
    url = fresh_url(redis_server)
    async with opened(url) as driver:
        handle = QueueHandle(driver, MovableClock())
        await handle.create()
        for _ in range(0, MESSAGES, 1000):
            await handle.post(*[new_message(b"x" * 100)] * 1000)
    with redis_server.connect() as connection:
        is_jemalloc = connection.info("memory")["mem_allocator"].startswith("jemalloc")
        used = sum(
            connection.memory_usage(key, samples=0) or 0 for key in keys(connection, url)
        )
    assert used / MESSAGES <= (240 if is_jemalloc else 270)


async def test_a_claim_whose_messages_are_deleted_leaves_nothing_behind(
    redis_server: RedisServer,
) -> None:
    url = fresh_url(redis_server)
    async with opened(url) as driver:
        handle = QueueHandle(driver, MovableClock())
        await handle.create()
        await handle.post(*[new_message()] * 3)
        claim = await handle.claim_some(3)
        first, *others = [message.seq for message in claim.messages]
        await handle.delete(first, claim_ids=[claim.id])
        held = await handle.get_claim(claim.id)
        assert held is not None
        assert [message.seq for message in held.messages] == others
        await handle.delete(*others, claim_ids=[claim.id])
    with redis_server.connect() as connection:
        assert [key for key in keys(connection, url) if ":claim:" in key] == []


async def _cost(handle: QueueHandle, server: RedisServer) -> dict[str, int]:
    """Return how many commands each call makes the server run."""
    cost = {}
    for name, call in {
        "post": handle.post,
        "page": lambda: handle.page(limit=5),
        "stats": handle.stats,
        "claim": handle.claim_some,
        "pop": handle.pop,
    }.items():
        before = sum(commands(server).values())
        await call()
        cost[name] = sum(commands(server).values()) - before
    return cost


async def test_a_call_costs_the_same_behind_twenty_thousand_messages(
    redis_server: RedisServer,
) -> None:
    async with orders(redis_server) as handle:
        await handle.post(*[new_message()] * 100)
        await handle.claim_some()
        shallow = await _cost(handle, redis_server)
        for ttl_s in (60, 3600):
            for _ in range(0, DEPTH, 1000):
                await handle.post(*[new_message(ttl_s=ttl_s)] * 1000)
                if ttl_s > 60:
                    await handle.claim_some(1000, lease_s=600)
            handle.clock.advance(s=61)
            # What clears away the expired is paid once, by whoever comes first.
            await handle.stats()
        await handle.post(*[new_message()] * 10)
        deep = await _cost(handle, redis_server)
    assert deep == shallow
