"""Opens Redis drivers for tests, and counts what they make a server do."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

from redis import Redis

from storage_drivers.redis import Driver
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle
from tests.servers.redis import RedisCluster, RedisServer


def fresh_url(server: RedisServer | RedisCluster) -> str:
    """Return the URL of a namespace that nobody has used before."""
    return f"{server.url}?namespace={secrets.token_hex(6)}"


@asynccontextmanager
async def opened(url: str, *, timeout_ms: int = 10_000) -> AsyncIterator[Driver]:
    """Open the store within the block."""
    driver = Driver(url, timeout_ms=timeout_ms)
    try:
        await driver.open()
        yield driver
    finally:
        await driver.close()


@asynccontextmanager
async def orders(
    server: RedisServer | RedisCluster, *, timeout_ms: int = 10_000
) -> AsyncIterator[QueueHandle]:
    """Open a fresh namespace and create the queue `orders` within the block."""
    async with opened(fresh_url(server), timeout_ms=timeout_ms) as driver:
        handle = QueueHandle(driver, MovableClock())
        await handle.create()
        yield handle


@asynccontextmanager
async def as_user(
    handle: QueueHandle, server: RedisServer, url: str, *rules: str
) -> AsyncIterator[QueueHandle]:
    """Use the queue as a user who may do everything but what the rules take away."""
    user = secrets.token_hex(6)
    with server.connect() as admin:
        admin.execute_command("ACL", "SETUSER", user, "on", ">secret", "~*", "+@all", *rules)
        restricted = url.replace("://", f"://{user}:secret@")
        async with opened(restricted) as driver:
            yield handle.on(storage=driver)
        admin.execute_command("ACL", "DELUSER", user)


@contextmanager
def setting(server: RedisServer, **values: str) -> Iterator[None]:
    """Change settings of the server within the block."""
    names = [name.replace("_", "-") for name in values]
    with server.connect() as connection:
        before = {name: connection.config_get(name)[name] for name in names}
        for name, value in zip(names, values.values(), strict=True):
            connection.config_set(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                connection.config_set(name, value)


def keys(connection: Redis, url: str) -> list[str]:
    """Return all keys in the namespace of a URL but the mark of its layout."""
    namespace = url.rpartition("=")[2]
    found: list[str] = sorted(connection.keys(f"{namespace}:*"))
    return [key for key in found if key != mark_key(url)]


def mark_key(url: str) -> str:
    """Return the key that says which layout the namespace of a URL has."""
    return f"{url.rpartition('=')[2]}:{{layout::mark}}:version"


def commands(server: RedisServer) -> Mapping[str, int]:
    """Return how often each command ran so far, in scripts and outside."""
    with server.connect() as connection:
        stats = connection.info("commandstats")
    return {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()}


def heard_in(server: RedisServer, url: str) -> dict[str, int]:
    """Return the channels of the namespace of a URL, and how many connections hear each."""
    namespace = url.rpartition("=")[2] if "=" in url else "nusku"
    with server.connect() as connection:
        kind = "" if connection.info("server")["redis_version"] < "7" else "SHARD"
        channels = connection.execute_command("PUBSUB", f"{kind}CHANNELS", f"{namespace}:*")
        counts = connection.execute_command("PUBSUB", f"{kind}NUMSUB", *channels)
    pairs = zip(counts[::2], counts[1::2], strict=True)
    return {name.removeprefix(f"{namespace}:"): count for name, count in pairs}


def ran(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return how often each command ran between, without those of tests that only count."""
    spent = {name: calls - before.get(name, 0) for name, calls in after.items()}
    return {name: n for name, n in spent.items() if n and name not in {"hello", "info"}}


def reads(server: RedisServer) -> int:
    """Return how often the server read from a connection so far."""
    with server.connect() as connection:
        return int(connection.info("stats")["total_reads_processed"])
