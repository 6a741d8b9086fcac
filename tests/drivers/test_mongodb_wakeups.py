"""Wake-ups on MongoDB: by a change stream, or by asking once a second where there is none.

NOTE: nx-27017 has change streams, to which the conformance suite listens. So most of the
tests here make the driver ask, as it does on a standalone MongoDB and on shards.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import pytest
from pymongo.errors import OperationFailure

from queues.model import Topic
from storage_drivers.mongodb import Driver
from storage_drivers.mongodb.change_stream import is_news
from tests.conformance.ear import LATEST_S, Ear, queue_topic, signal_topic
from tests.conformance.handle import QueueHandle
from tests.drivers.mongodb_recorder import Command, recorded, short
from tests.drivers.mongodb_storage import Line, orders, through_a_line
from tests.factories import dead_letters, idempotency, new_messages
from tests.servers.mongodb import MongoServer, connect

pytestmark = pytest.mark.mongodb

ORDERS = queue_topic("orders")
QUESTION = "find queues"
MARK = "update queues"
DAY_S = 86_400


class Pair(NamedTuple):
    """A process that asks, another one whose line to the store can be held, and the URL."""

    asking: QueueHandle
    other: QueueHandle
    line: Line
    url: str

    @property
    def driver(self) -> Driver:
        """The driver of the process that asks."""
        assert isinstance(self.asking.storage, Driver)
        return self.asking.storage

    @property
    def ear(self) -> Ear:
        """Somebody in the process that asks."""
        return Ear(self.asking.storage)

    def told(self) -> list[str]:
        """Return the documents of topics."""
        with connect(self.url) as connection:
            queues = connection.get_default_database().queues
            return [str(doc["_id"]) for doc in queues.find({"told": {"$exists": True}})]


@pytest.fixture
async def pair(mongodb_server: MongoServer) -> AsyncIterator[Pair]:
    async with (
        orders(mongodb_server) as (asking, url),
        through_a_line(asking, mongodb_server, url) as (other, line),
    ):
        pair = Pair(asking, other, line, url)
        pair.driver.db.streams = False
        yield pair


async def until(happened: Callable[[], bool]) -> None:
    """Wait until something happened, a few seconds at the most."""
    for _ in range(LATEST_S * 100):
        if happened():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never happened")


async def until_sent(name: str, commands: list[Command], *, times: int) -> None:
    """Wait until a command was sent so often."""
    await until(lambda: [short(command) for command in commands].count(name) >= times)


async def test_what_others_do_is_heard_about_a_second_later_without_a_stream(
    pair: Pair,
) -> None:
    ear, ready = pair.ear, signal_topic("ready")
    await ear.watch(ORDERS, ready)
    await pair.other.post()
    await ear.hears(ORDERS)
    claim = await pair.other.claim_some()
    await pair.other.release(claim.id)
    await ear.hears(ORDERS)
    pair.other.storage.wakeups.tell(ready)
    await ear.hears(ready)


async def test_what_happens_in_the_same_process_is_heard_at_once(pair: Pair) -> None:
    ear, queue, dead = pair.ear, pair.asking, queue_topic("dead")
    await ear.watch(ORDERS, dead)
    await queue.post()
    assert ear.heard == [ORDERS]
    claim = await queue.claim_some()
    await queue.renew(claim.id)
    await queue.release(claim.id)
    assert ear.heard == [ORDERS] * 3
    await queue.claim(dead_letter=dead_letters())
    assert ear.heard[3:] == [dead]


async def test_all_that_is_watched_costs_one_question_a_second(pair: Pair) -> None:
    topics = [queue_topic(f"queue-{number}") for number in range(50)]
    ear = pair.ear
    await ear.watch(*topics)
    with recorded(pair.url) as commands:
        await until_sent(QUESTION, commands, times=1)
        began_s = time.monotonic()
        await until_sent(QUESTION, commands, times=3)
        assert time.monotonic() - began_s > 1.8
        assert {short(command) for command in commands} == {QUESTION}


async def test_those_who_begin_to_watch_together_share_a_question(pair: Pair) -> None:
    ear = pair.ear
    await ear.watch(ORDERS)
    with recorded(pair.url) as commands:
        await ear.watch(*[queue_topic(f"queue-{number}") for number in range(50)])
        assert len(commands) <= 2


async def test_nothing_is_asked_when_nothing_is_watched(pair: Pair) -> None:
    ear = pair.ear
    await ear.watch(ORDERS)
    await ear.wakeups.forget(ORDERS)
    with recorded(pair.url) as commands:
        await asyncio.sleep(2.2)
        assert commands == []


async def test_a_stream_ends_when_nothing_is_watched(pair: Pair) -> None:
    pair.driver.db.streams = True
    ear = pair.ear
    await ear.watch(ORDERS)
    await ear.wakeups.forget(ORDERS)
    with recorded(pair.url) as commands:
        await until_sent("killCursors queues", commands, times=1)
        commands.clear()
        await asyncio.sleep(0.2)
        assert commands == []
    await ear.watch(ORDERS)
    await pair.other.post()
    await ear.hears(ORDERS)


async def test_no_post_costs_more_for_those_who_watch(pair: Pair) -> None:
    await pair.other.create()
    await pair.other.everything()
    ear = pair.ear
    await ear.watch(ORDERS)
    pair.line.commands.clear()
    await pair.other.post()
    await ear.hears(ORDERS)
    assert pair.line.commands == ["findAndModify queues", "insert messages", "update queues"]


async def test_releasing_and_renewing_mark_the_topic_without_waiting(pair: Pair) -> None:
    await pair.other.post()
    claim = await pair.other.claim_some()
    await pair.other.everything()
    for call in (pair.other.renew(claim.id), pair.other.release(claim.id)):
        with recorded(pair.url) as commands:
            await call
            assert [short(command) for command in commands][:2] == [
                "find queues",
                "update messages",
            ]
            await until_sent(MARK, commands, times=1)


async def test_a_queue_with_a_writer_at_work_is_hinted_at_with_every_question(
    pair: Pair,
) -> None:
    ear = pair.ear
    pair.line.hold("update queues")  # the close of the reservation
    await ear.watch(ORDERS)
    await pair.other.post()
    await pair.line.reached.wait()
    for _ in range(3):
        await ear.hears(ORDERS)
    pair.line.released.set()


async def test_a_close_that_fails_is_told(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise OperationFailure("not this time")

    monkeypatch.setattr("storage_drivers.mongodb.sequence.close", fail)
    await pair.other.post()
    await until(lambda: pair.told() == ["alpha queue orders"])


async def test_a_claim_that_gives_back_what_another_took_over_is_heard(pair: Pair) -> None:
    await pair.asking.post(*new_messages(4))
    pair.line.hold("update messages")
    late = asyncio.create_task(pair.other.claim(2, idempotency=idempotency()))
    await pair.line.reached.wait()
    await pair.asking.claim_some(1, idempotency=idempotency())
    ear = pair.ear
    await ear.watch(ORDERS)
    pair.line.released.set()
    await late
    await ear.hears(ORDERS)


@pytest.mark.parametrize("code", [13, 40573])
async def test_a_server_that_refuses_a_stream_is_asked_instead(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OperationFailure("no", code)

    pair.driver.db.streams = True
    monkeypatch.setattr("pymongo.collection.Collection.aggregate", refuse)
    ear = pair.ear
    await ear.watch(ORDERS)
    await pair.other.post()
    await ear.hears(ORDERS)
    assert ear.heard == [ORDERS]


async def test_what_was_told_is_forgotten_after_a_day_without_a_word(pair: Pair) -> None:
    old, new = signal_topic("old"), signal_topic("new")
    await tell(pair, old, new)
    await pair.asking.sweep_all()
    pair.asking.clock.advance(s=DAY_S / 2)
    await tell(pair, new)
    await pair.asking.sweep_all()
    pair.asking.clock.advance(s=DAY_S / 2)
    await pair.asking.sweep_all()
    assert pair.told() == ["alpha signal new"]


async def tell(pair: Pair, *topics: Topic) -> None:
    """Tell another process of the topics, and wait until it hears of them."""
    ear = pair.ear
    await ear.watch(*topics)
    for topic in topics:
        pair.other.storage.wakeups.tell(topic)
    await ear.hears(*topics)


@pytest.mark.parametrize(
    ("description", "news"),
    [
        ({"removedFields": [], "updatedFields": {}}, False),
        ({"removedFields": ["open.1f"], "updatedFields": {}}, True),
        ({"removedFields": [], "updatedFields": {"told": "1f"}}, True),
        (None, True),
    ],
)
def test_a_reservation_alone_is_no_news(description: object, news: bool) -> None:
    assert is_news({"documentKey": {"_id": "a b"}, "updateDescription": description}) is news
