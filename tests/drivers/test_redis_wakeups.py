"""Wake-ups over Redis: how they find their way, what they cost, and how a loss is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from storage_drivers.redis import ear
from tests.clock import MovableClock
from tests.conformance.ear import Ear, queue_topic, signal_topic
from tests.conformance.handle import QueueHandle
from tests.drivers.redis_proxy import Proxy
from tests.drivers.redis_storage import as_user, commands, fresh_url, heard_in, opened, ran
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.redis


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return fresh_url(redis_server)


@pytest.fixture
async def orders(url: str) -> AsyncIterator[QueueHandle]:
    async with opened(url) as driver:
        handle = QueueHandle(driver, MovableClock())
        await handle.create()
        yield handle


@pytest.fixture
async def elsewhere(orders: QueueHandle, url: str) -> AsyncIterator[QueueHandle]:
    """The queue, used by another process."""
    async with opened(url) as driver:
        yield orders.on(storage=driver)


def connections(server: RedisServer) -> int:
    with server.connect() as connection:
        return int(connection.info("clients")["connected_clients"])


async def test_a_process_subscribes_to_nothing_but_what_it_watches(
    orders: QueueHandle, redis_server: RedisServer, url: str
) -> None:
    hearer = Ear(orders.storage)
    await orders.post()
    assert heard_in(redis_server, url) == {}
    await hearer.watch(queue_topic("orders"), signal_topic("orders"))
    await hearer.watch(queue_topic("orders"))
    assert heard_in(redis_server, url) == {
        "{alpha:orders}:messages": 1,
        "{alpha:orders}:signal": 1,
    }
    await hearer.wakeups.forget(queue_topic("orders"))
    # Whatever was sent before is done when this is.
    await hearer.watch(signal_topic("other"))
    assert heard_in(redis_server, url) == {
        "{alpha:orders}:signal": 1,
        "{alpha:other}:signal": 1,
    }


async def test_all_topics_of_a_process_need_one_connection_more_and_no_topic_needs_none(
    orders: QueueHandle, redis_server: RedisServer
) -> None:
    hearer, before = Ear(orders.storage), connections(redis_server)
    await orders.post()
    assert connections(redis_server) == before
    await hearer.watch(*(queue_topic(f"queue-{number}") for number in range(100)))
    assert connections(redis_server) == before + 1


async def test_what_is_watched_costs_one_question_at_a_time(
    orders: QueueHandle, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ear, "PING_S", 0.05)
    hearer, topics = Ear(orders.storage), [queue_topic(f"{number}") for number in range(500)]
    loop = asyncio.get_running_loop()

    async def spent_in_a_while() -> tuple[dict[str, int], float]:
        before, since_s = commands(redis_server), loop.time()
        await asyncio.sleep(0.5)
        return ran(before, commands(redis_server)), (loop.time() - since_s) / 0.05 + 1

    await hearer.watch(*topics)
    spent, most = await spent_in_a_while()
    assert 0 < spent.pop("ping") <= most
    assert not {"evalsha", "hmget", "ssubscribe", "subscribe"} & set(spent)
    for topic in topics:
        await hearer.wakeups.forget(topic)
    # Whatever was sent before is done when this is.
    await hearer.watch(signal_topic("last"))
    await hearer.wakeups.forget(signal_topic("last"))
    spent, _ = await spent_in_a_while()
    assert spent.get("ping", 0) <= 1


async def test_a_connection_that_the_server_cuts_is_made_anew(
    orders: QueueHandle, elsewhere: QueueHandle, redis_server: RedisServer
) -> None:
    hearer = Ear(orders.storage)
    await hearer.watch(queue_topic("orders"), signal_topic("ready"))
    with redis_server.connect() as connection:
        assert connection.client_kill_filter(_type="pubsub") >= 1
    assert await hearer.hint() == [None]
    await elsewhere.post()
    elsewhere.storage.wakeups.tell(signal_topic("ready"))
    await hearer.hears(queue_topic("orders"), signal_topic("ready"))
    assert set(hearer.heard) == {None, queue_topic("orders"), signal_topic("ready")}


async def test_a_connection_that_falls_silent_is_noticed(
    orders: QueueHandle, redis_server: RedisServer, url: str
) -> None:
    async with Proxy(redis_server.port) as proxy:
        through = url.replace(str(redis_server.port), str(proxy.port))
        async with opened(through) as driver:
            hearer = Ear(driver)
            await hearer.watch(queue_topic("orders"))
            proxy.fall_silent()
            await orders.post()
            await hearer.hears(queue_topic("orders"))
            assert hearer.heard == [None]


async def test_what_could_not_be_told_is_told_later(
    orders: QueueHandle, redis_server: RedisServer, url: str
) -> None:
    hearer = Ear(orders.storage)
    await hearer.watch(signal_topic("ready"))
    async with Proxy(redis_server.port) as proxy:
        through = url.replace(str(redis_server.port), str(proxy.port))
        async with opened(through, timeout_ms=300) as driver:
            proxy.fall_silent()
            driver.wakeups.tell(signal_topic("ready"))
            await hearer.hears(signal_topic("ready"))
    assert hearer.heard == [signal_topic("ready")]


async def test_a_user_who_may_not_subscribe_or_publish_posts_and_asks_once_a_second(
    orders: QueueHandle, redis_server: RedisServer, url: str
) -> None:
    async with as_user(orders, redis_server, url, "resetchannels") as restricted:
        hearer = Ear(restricted.storage)
        await hearer.watch(queue_topic("orders"))
        assert await restricted.post()
        restricted.storage.wakeups.tell(queue_topic("orders"))
        for _ in range(2):
            assert set(await hearer.hint()) == {None}


async def test_what_changes_nothing_is_not_told(
    orders: QueueHandle, elsewhere: QueueHandle
) -> None:
    hearer = Ear(orders.storage)
    await hearer.watch(queue_topic("orders"), signal_topic("end"))
    await elsewhere.release("no claim")
    assert await elsewhere.claim() is None
    await elsewhere.listed()
    elsewhere.storage.wakeups.tell(signal_topic("end"))
    await hearer.hears(signal_topic("end"))
    assert hearer.heard == [signal_topic("end")]
