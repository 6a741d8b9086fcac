"""Credentials and quotas in Redis: what is cut off, what it costs, and what is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from queues.errors import StorageUnavailable
from queues.model import Rate, Usage
from storage_drivers.redis import quotas
from tests.clock import MovableClock
from tests.conformance.project import UNKNOWN, ProjectHandle
from tests.drivers.redis_storage import as_user, commands, fresh_url, keys, opened, setting
from tests.factories import new_message
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.redis

#: Taking this away from a user ends a revocation after the first of its two writes.
BEFORE_ENDING = "-zrem"
#: Taking this away from a user ends a creation after the queue was announced.
BEFORE_CREATING = "-exists"

DAY_MS = 86_400_000


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return fresh_url(redis_server)


@pytest.fixture
async def alpha(url: str) -> AsyncIterator[ProjectHandle]:
    async with opened(url) as driver:
        yield ProjectHandle(driver, MovableClock())


def ttls_ms(server: RedisServer, url: str) -> dict[str, int]:
    """Return how long each key will stay, by the last part of its name; -1: for ever."""
    with server.connect() as connection:
        return {key.rpartition(":")[2]: connection.pttl(key) for key in keys(connection, url)}


async def test_a_revocation_that_was_cut_off_counts_and_is_finished_by_the_next(
    alpha: ProjectHandle, redis_server: RedisServer, url: str
) -> None:
    added = await alpha.add(uses_left=3)
    queue = await alpha.queue("any")
    async with as_user(queue, redis_server, url, BEFORE_ENDING) as crashing:
        with pytest.raises(StorageUnavailable):
            await alpha.on(storage=crashing.storage).revoke()
    before = await alpha.all_revocations()
    assert before.ids == {added.id}
    assert await alpha.get() == added
    assert await alpha.revoke()
    assert await alpha.get() is None
    assert not await alpha.revoke()
    assert await alpha.all_revocations() == before


async def test_a_revocation_that_a_failover_took_off_the_list_can_be_repeated(
    alpha: ProjectHandle, redis_server: RedisServer, url: str
) -> None:
    await alpha.add()
    await alpha.revoke()
    known = (await alpha.all_revocations()).version
    with redis_server.connect() as connection:
        lost = [key for key in keys(connection, url) if "revocations" in key]
        connection.delete(*lost)
    assert await alpha.revoked() == frozenset()
    alpha.clock.advance(ms=1)
    assert not await alpha.revoke()
    found = await alpha.revocations(known)
    assert found is not None
    assert found.ids == {"id-1"}


async def test_to_learn_that_nothing_was_revoked_is_one_small_command(
    alpha: ProjectHandle, redis_server: RedisServer
) -> None:
    for number in range(100):
        await alpha.add(f"id-{number}")
        await alpha.revoke(f"id-{number}")
    version = (await alpha.all_revocations()).version
    before = commands(redis_server)
    assert await alpha.revocations(version) is None
    after = commands(redis_server)
    ran = {name: calls - before.get(name, 0) for name, calls in after.items()}
    by_us = {name: n for name, n in ran.items() if n and name not in {"hello", "info"}}
    assert by_us == {"get": 1}


async def test_more_expired_credentials_than_one_step_clears_hide_no_live_one(
    alpha: ProjectHandle,
) -> None:
    ids = [f"id-{number:04}" for number in range(2100)]
    await asyncio.gather(*(alpha.add(name, ttl_s=60, uses_left=1) for name in ids))
    await alpha.add("live")
    alpha.clock.advance(s=60)
    assert await alpha.listed(limit=5) == ["live"]
    await alpha.add(ids[-1], document=b"again")
    found = await alpha.get(ids[-1])
    assert found is not None
    assert found.document == b"again"
    assert found.uses_left is None


async def test_an_id_of_many_that_expired_can_be_added_again(alpha: ProjectHandle) -> None:
    ids = [f"id-{number:04}" for number in range(2100)]
    await asyncio.gather(*(alpha.add(name, ttl_s=60, uses_left=1) for name in ids))
    alpha.clock.advance(s=60)
    added = await alpha.add(ids[-1])
    assert await alpha.get(ids[-1]) == added
    assert await alpha.listed() == [ids[-1]]


async def test_expired_credentials_and_revocations_are_cleared_away(
    alpha: ProjectHandle, redis_server: RedisServer, url: str
) -> None:
    for number in range(20):
        await alpha.add(f"id-{number}", ttl_s=60, uses_left=2)
        if number % 2:
            await alpha.revoke(f"id-{number}")
    alpha.clock.advance(s=3660)
    await alpha.add("new", uses_left=5)
    await alpha.add("other")
    await alpha.revoke("other")
    sizes = {"credentials": 3, "live": 1, "expiring": 2, "revoked": 1}
    with redis_server.connect() as connection:
        found = {key.rpartition(":")[2]: key for key in keys(connection, url)}
        assert connection.hlen(found["credentials"]) == sizes["credentials"]
        for name in ("live", "expiring", "revoked"):
            assert connection.zcard(found[name]) == sizes[name]


async def test_what_nobody_asks_for_any_more_goes_by_itself(
    alpha: ProjectHandle, redis_server: RedisServer, url: str
) -> None:
    await alpha.add("id-1", ttl_s=600)
    await alpha.add("id-2", ttl_s=60)
    await alpha.revoke("id-2")
    await alpha.take(5, Rate(0.5, 10))
    left_ms = ttls_ms(redis_server, url)
    assert left_ms.pop("version") == -1
    assert set(left_ms) == {"credentials", "live", "expiring", "revoked", "requests"}
    for name in ("credentials", "live", "expiring"):
        assert DAY_MS + 500_000 < left_ms[name] <= DAY_MS + 600_000
    assert DAY_MS < left_ms["revoked"] <= DAY_MS + 60_000
    assert 3_600_000 < left_ms["requests"] <= 3_610_000


async def test_a_full_server_revokes_and_counts_uses_and_rates(
    alpha: ProjectHandle, redis_server: RedisServer
) -> None:
    await alpha.add("id-1", uses_left=2)
    await alpha.storage.quotas.put("alpha", b"{}")
    rate = Rate(1, 10)
    with setting(redis_server, maxmemory="1"):
        with pytest.raises(StorageUnavailable):
            await alpha.add("id-2")
        assert await alpha.spend("id-1")
        assert await alpha.revoke("id-1")
        assert await alpha.take(7, rate) == 7
        await alpha.storage.quotas.delete("alpha")
    assert await alpha.revoked() == {"id-1"}
    assert await alpha.get("id-1") is None
    assert await alpha.take(7, rate) == 3
    assert await alpha.storage.quotas.get("alpha") is None


async def test_all_queues_are_counted_when_they_fill_several_pages(
    alpha: ProjectHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "_QUEUES_AT_ONCE", 3)
    for number in range(7):
        assert await alpha.usage() == Usage(number, number, 2 * number, 0)
        queue = await alpha.queue(f"queue-{number}")
        await queue.post(new_message(b"xy"))


async def test_a_queue_that_is_only_announced_is_not_counted(
    alpha: ProjectHandle, redis_server: RedisServer, url: str
) -> None:
    queue = await alpha.queue("any")
    async with as_user(queue, redis_server, url, BEFORE_CREATING) as crashing:
        with pytest.raises(StorageUnavailable):
            await crashing.on(queue="other").create()
    assert await alpha.usage() == Usage(1, 0, 0, 0)


async def test_versions_stay_above_a_clock_that_stepped_back(alpha: ProjectHandle) -> None:
    credentials = alpha.storage.credentials
    await alpha.add("id-1")
    await alpha.add("id-2")
    await alpha.revoke("id-1")
    before = await alpha.revocations(UNKNOWN)
    assert before is not None
    await credentials.revoke("alpha", "id-2", now_ms=alpha.now_ms - 60_000)
    after = await alpha.revocations(before.version)
    assert after is not None
    assert after.version > before.version
