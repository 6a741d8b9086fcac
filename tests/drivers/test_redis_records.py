"""Records in Redis: nothing due is missed, whoever dies or comes between, and at what cost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from queues.errors import QueueChanged, StorageUnavailable
from queues.storage import outbox_key
from storage_drivers.redis.layout import SHARDS, Layout, shard_of
from storage_drivers.redis.visits import NEVER_MS, Visits
from tests.clock import MovableClock
from tests.drivers.redis_records import LEASE_S, Records
from tests.drivers.redis_storage import as_user, commands, fresh_url, keys, opened, ran, setting
from tests.servers.redis import RedisCluster, RedisServer

pytestmark = pytest.mark.redis

#: Taking this away from a user ends a write after the scope was announced.
BEFORE_WRITING = "-hset"
#: Taking this away from a user ends a visit before it has taken anything.
BEFORE_TAKING = "-hget"


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return fresh_url(redis_server)


@pytest.fixture
async def records(url: str) -> AsyncIterator[Records]:
    async with opened(url) as driver:
        yield Records(driver, MovableClock())


@pytest.fixture
async def others(records: Records, url: str) -> AsyncIterator[Records]:
    """The same records, seen by another process."""
    async with opened(url) as driver:
        yield records.on(storage=driver)


def after_announcing(
    monkeypatch: pytest.MonkeyPatch, then: Callable[[], Awaitable[object]]
) -> None:
    """Let something happen between the next announcement and the record."""
    announce = Visits.announce

    async def both(self: Visits, tag: str, at_ms: int) -> None:
        await announce(self, tag, at_ms)
        if at_ms != NEVER_MS:
            monkeypatch.setattr(Visits, "announce", announce)
            await then()

    monkeypatch.setattr(Visits, "announce", both)


def before_ending(
    monkeypatch: pytest.MonkeyPatch, first: Callable[[], Awaitable[object]]
) -> None:
    """Let something happen between what the next visit does and its end."""
    end = Visits.end

    async def both(self: Visits, *args: object) -> None:
        monkeypatch.setattr(Visits, "end", end)
        await first()
        await end(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Visits, "end", both)


def kept(server: RedisServer, url: str) -> set[str]:
    """Return the last parts of the names of all keys."""
    with server.connect() as connection:
        return {key.rpartition(":")[2] for key in keys(connection, url)}


async def test_a_write_that_was_cut_off_after_its_announcement_leaves_nothing_behind(
    records: Records, redis_server: RedisServer, url: str
) -> None:
    async with as_user(records.queue, redis_server, url, BEFORE_WRITING) as crashing:
        with pytest.raises(StorageUnavailable):
            await records.on(storage=crashing.storage).create(in_s=60)
    assert await records.get() is None
    assert "scopes" in kept(redis_server, url)
    records.clock.advance(s=60)
    assert await records.take() == []
    assert kept(redis_server, url) == {"notice", "visits"}


async def test_a_visit_between_announcement_and_record_hides_no_record(
    records: Records, others: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_announcing(monkeypatch, others.take)
    await records.create()
    assert await records.take() == [("orders", "key")]


async def test_a_visit_that_ends_after_the_next_record_takes_it_off_no_list(
    records: Records, others: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    await records.create("first")
    before_ending(monkeypatch, lambda: others.create("second"))
    assert await records.take(1) == [("orders", "first")]
    assert await records.take() == [("orders", "second")]


async def test_a_visit_that_never_ends_is_made_up_for_within_a_second(
    records: Records, redis_server: RedisServer, url: str
) -> None:
    await records.create()
    async with as_user(records.queue, redis_server, url, BEFORE_TAKING) as crashing:
        with pytest.raises(StorageUnavailable):
            await records.on(storage=crashing.storage).take()
    assert await records.take() == []
    records.clock.advance(s=1)
    assert await records.take() == [("orders", "key")]


async def test_two_processes_take_each_record_once(records: Records, others: Records) -> None:
    scopes = [f"scope-{number}" for number in range(20)]
    for scope in scopes:
        for key in "abcde":
            await records.on(scope=scope).create(key)
    taken = []
    while batch := await asyncio.gather(*(one.take(7) for one in (records, others) * 4)):
        if not any(batch):
            break
        taken += [one for some in batch for one in some]
    assert sorted(taken) == [(scope, key) for scope in sorted(scopes) for key in "abcde"]


async def test_writers_and_takers_among_one_another_lose_nothing(
    records: Records, others: Records
) -> None:
    async def write(writer: int) -> None:
        for number in range(40):
            await records.on(scope=f"scope-{number % 3}").create(f"{writer}-{number}")

    writing = asyncio.gather(*(write(writer) for writer in range(5)))
    taken: list[tuple[str, str]] = []
    while not writing.done():
        for some in await asyncio.gather(records.take(9), others.take(9)):
            taken += some
    await writing
    while batch := await records.take(50):
        taken += batch
    assert len(taken) == len(set(taken)) == 200


async def test_one_scope_with_much_to_do_does_not_keep_the_others_waiting(
    records: Records,
) -> None:
    for number in range(50):
        await records.create(f"key-{number}")
    records.clock.advance(ms=1)
    await records.on(scope="quiet").create()
    records.clock.advance(ms=1)
    assert [await records.take(1) for _ in range(3)] == [
        [("orders", "key-0")],
        [("quiet", "key")],
        [("orders", "key-1")],
    ]


async def test_scopes_with_nothing_due_are_not_visited(
    records: Records, redis_server: RedisServer
) -> None:
    for number in range(50):
        await records.on(scope=f"scope-{number}").create(in_s=60, ttl_s=3600)
    before = commands(redis_server)
    assert await records.take() == []
    spent = ran(before, commands(redis_server))
    assert spent.pop("zrangebyscore") == SHARDS
    assert not {"evalsha", "hget", "get"} & set(spent)


async def test_a_scope_is_announced_once_for_many_records(
    records: Records, redis_server: RedisServer
) -> None:
    await records.create("first")
    before = commands(redis_server)
    for number in range(5):
        await records.create(f"key-{number}", in_s=number)
    assert ran(before, commands(redis_server))["evalsha"] == 5


async def test_a_list_that_a_failover_lost_is_made_anew_by_a_later_write(
    records: Records, redis_server: RedisServer, url: str
) -> None:
    await records.create("first")
    with redis_server.connect() as connection:
        connection.delete(*(key for key in keys(connection, url) if key.endswith(":scopes")))
    records.clock.advance(s=11)
    await records.create("second")
    assert await records.take() == [("orders", "first"), ("orders", "second")]


async def test_a_full_server_goes_on_with_what_is_under_way(
    records: Records, redis_server: RedisServer
) -> None:
    await records.create("first")
    with setting(redis_server, maxmemory="1"):
        with pytest.raises(StorageUnavailable):
            await records.create("second")
        assert await records.take() == [("orders", "first")]
        found = await records.get("first")
        assert found is not None
        assert await records.replace(found._replace(due_ms=records.clock.now_ms()))
        assert await records.take() == [("orders", "first")]
        assert await records.delete("first")
    assert await records.take() == []


async def test_a_sweep_removes_what_has_expired_within_its_limit(
    records: Records, redis_server: RedisServer, url: str
) -> None:
    for number in range(10):
        await records.on(scope=f"scope-{number % 2}").create(f"{number}", ttl_s=60 + number)
    records.clock.advance(s=64)
    sweep = records.storage.sweep
    swept = [await sweep(limit=3, now_ms=records.clock.now_ms()) for _ in range(3)]
    assert swept == [3, 2, 0]
    records.clock.advance(s=60)
    assert await sweep(limit=100, now_ms=records.clock.now_ms()) == 5
    assert await records.take() == []
    assert kept(redis_server, url) == {"notice", "visits"}


async def test_many_expired_records_hide_no_live_one(records: Records) -> None:
    expiring = [f"a-{number}" for number in range(2100)]
    await asyncio.gather(*(records.create(key, ttl_s=60) for key in expiring))
    await records.create("b")
    records.clock.advance(s=60)
    assert await records.listed(limit=5) == ["b"]
    assert await records.take(5) == [("orders", "b")]


async def test_a_post_with_an_outbox_record_stores_both_or_neither(
    records: Records, redis_server: RedisServer, url: str
) -> None:
    await records.queue.create()
    with pytest.raises(QueueChanged):
        await records.post(version=2)
    async with as_user(records.queue, redis_server, url, BEFORE_WRITING) as crashing:
        with pytest.raises(StorageUnavailable):
            await records.on(storage=crashing.storage).post()
    assert await records.take() == []
    first, _ = await records.post(2)
    assert await records.take() == [("orders", outbox_key(first))]


async def test_a_full_server_takes_no_post_with_an_outbox_record(
    records: Records, redis_server: RedisServer
) -> None:
    await records.queue.create()
    with setting(redis_server, maxmemory="1"), pytest.raises(StorageUnavailable):
        await records.post()
    assert await records.queue.counts() == (0, 0)
    assert await records.take() == []


async def test_on_a_cluster_records_of_all_nodes_are_taken(redis_cluster: RedisCluster) -> None:
    async with opened(fresh_url(redis_cluster)) as driver:
        records = Records(driver, MovableClock())
        scopes = ["", *(f"scope-{number}" for number in range(12))]
        for scope in scopes:
            await records.on(scope=scope).create(ttl_s=3600)
        assert sorted(await records.take(20)) == sorted((scope, "key") for scope in scopes)
        records.clock.advance(s=LEASE_S)
        assert len(await records.take(20)) == len(scopes)
        records.clock.advance(s=3600)
        assert await driver.sweep(limit=20, now_ms=records.clock.now_ms()) == len(scopes)


async def test_a_node_that_is_down_keeps_no_record_on_the_others_waiting(
    redis_cluster: RedisCluster,
) -> None:
    *living, dying = redis_cluster.nodes
    scopes = {f"scope-{number}" for number in range(40)}
    url = fresh_url(redis_cluster)
    async with opened(url, timeout_ms=1000) as driver:
        records = Records(driver, MovableClock())
        for scope in scopes:
            await records.on(scope=scope).create()
        for node in living:
            with node.connect() as connection:
                connection.config_set("cluster-require-full-coverage", "no")
        await asyncio.to_thread(dying.kill)
        try:
            found = await taken_in_time(records)
        finally:
            await asyncio.to_thread(redis_cluster.restart)
        assert found == {scope for scope in scopes if is_alive(url, scope)}
        assert found | await taken_in_time(records) == scopes


def is_alive(url: str, scope: str) -> bool:
    """Say whether a scope and its list are in the first two thirds of the slots."""
    layout = Layout(url.rpartition("=")[2])
    place = layout.queue("alpha", scope)
    return max(place.slot, layout.due[shard_of(place.tag)].slot) < 16384 * 2 // 3


async def taken_in_time(records: Records) -> set[str]:
    """Return the scopes of what is taken within the next seconds."""
    scopes: set[str] = set()
    for _ in range(3):
        records.clock.advance(s=1)
        with contextlib.suppress(StorageUnavailable):
            scopes |= {scope for scope, _ in await records.take(40)}
    return scopes
