"""Records of the outbox: there before their messages, due after them, one for each post."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from queues.errors import QueueChanged, StorageUnavailable
from tests.conformance.handle import QueueHandle
from tests.drivers.mongodb_outbox import HELD_S, keys, post_and_tell, take, told
from tests.drivers.mongodb_recorder import Command, recorded, short, used_queue
from tests.drivers.mongodb_storage import Line, orders, store_url, through_a_line
from tests.factories import idempotency, new_message, new_messages
from tests.servers.mongodb import MongoServer, connect

pytestmark = pytest.mark.mongodb

POST = ["findAndModify queues", "insert records", "insert messages", "update records"]
CLOSE = "update queues"


class Pair(NamedTuple):
    """A process, another one whose line to the store can be held, and that line."""

    sound: QueueHandle
    held: QueueHandle
    line: Line
    url: str


@pytest.fixture
async def pair(mongodb_server: MongoServer) -> AsyncIterator[Pair]:
    async with (
        orders(mongodb_server) as (sound, url),
        through_a_line(sound, mongodb_server, url) as (held, line),
    ):
        yield Pair(sound, held, line, url)


async def test_a_record_is_there_before_its_messages_but_due_after_them(pair: Pair) -> None:
    pair.line.hold("insert messages")
    posting = asyncio.create_task(post_and_tell(pair.held, *new_messages(3)))
    await pair.line.reached.wait()
    assert len(await told(pair.sound)) == 1
    assert await take(pair.sound) == []
    pair.line.released.set()
    first, *_ = await posting
    assert await take(pair.sound) == keys(first)


async def test_a_record_of_a_keyed_post_is_not_due_before_its_messages_are_seen(
    pair: Pair,
) -> None:
    pair.line.hold("update messages")
    posting = asyncio.create_task(post_and_tell(pair.held, *new_messages(3), key=idempotency()))
    await pair.line.reached.wait()
    assert len(await told(pair.sound)) == 1
    assert await take(pair.sound) == []
    pair.line.released.set()
    first, *_ = await posting
    assert await take(pair.sound) == keys(first)


@pytest.mark.parametrize("key", [None, idempotency()])
async def test_a_fenced_post_leaves_one_record_where_it_was_stored(
    pair: Pair, key: object
) -> None:
    pair.line.hold("insert messages")
    posting = asyncio.create_task(
        post_and_tell(pair.held, *new_messages(3), key=key)  # type: ignore[arg-type]
    )
    await pair.line.reached.wait()
    await pair.sound.post(new_message("fast"))
    await pair.sound.everything()
    pair.line.released.set()
    first, *_ = await posting
    assert await told(pair.sound) == keys(first)
    assert await take(pair.sound) == keys(first)


async def test_a_keyed_post_that_is_fenced_before_it_is_decided_leaves_one_record(
    pair: Pair,
) -> None:
    pair.line.hold("update answers")
    posting = asyncio.create_task(post_and_tell(pair.held, *new_messages(2), key=idempotency()))
    await pair.line.reached.wait()
    await pair.sound.post(new_message("fast"))
    await pair.sound.everything()
    pair.line.released.set()
    first, *_ = await posting
    assert await told(pair.sound) == keys(first)


async def test_a_post_that_a_fence_cuts_in_two_is_not_acknowledged(pair: Pair) -> None:
    pair.line.hold("insert messages")
    posting = asyncio.create_task(post_and_tell(pair.held, *new_messages(3)))
    await pair.line.reached.wait()
    second = await fence_the_second(pair)
    pair.line.released.set()
    with pytest.raises(StorageUnavailable):
        await posting
    assert await told(pair.sound) == keys(second - 1)
    assert [message.body for message in await pair.sound.everything()] == [b"0"]


async def fence_the_second(pair: Pair) -> int:
    """Do a part of what a reader does to a writer that seems dead."""
    (key,) = await told(pair.sound)
    second = int(key, 16) + 1
    bucket = pair.sound.storage.db.buckets["alpha orders"]  # type: ignore[attr-defined]
    with connect(pair.url) as connection:
        messages = connection.get_default_database().messages
        messages.insert_one({"_id": f"{bucket}{second:014x}", "b": bucket, "visible": 2**60})
    return second


async def test_posts_that_wait_for_one_another_share_their_commands(pair: Pair) -> None:
    posts = [[new_message(str(n)), new_message(str(n))] for n in range(20)]
    with recorded(pair.url) as commands:
        seqs = await asyncio.gather(*(post_and_tell(pair.sound, *post) for post in posts))
        used = [short(command) for command in commands]
    firsts = [first for first, _ in seqs]
    assert [used.count(command) for command in POST] == [1] * len(POST)
    assert await told(pair.sound) == await take(pair.sound) == keys(*firsts)


async def test_posts_without_a_record_do_not_wait_for_those_with_one(pair: Pair) -> None:
    pair.line.hold("insert records")
    posting = asyncio.create_task(post_and_tell(pair.held, new_message("told")))
    await pair.line.reached.wait()
    (plain,) = await pair.held.post(new_message("plain"))
    pair.line.released.set()
    (told_seq,) = await posting
    assert told_seq < plain


async def test_a_post_to_another_version_of_the_queue_leaves_no_record(pair: Pair) -> None:
    for key in (None, idempotency()):
        with pytest.raises(QueueChanged):
            await post_and_tell(pair.sound.on(version=2), new_message(), key=key)
    assert await told(pair.sound) == []


@pytest.mark.parametrize("count", [1, 10])
async def test_a_record_makes_a_post_cost_four_commands(
    request: pytest.FixtureRequest, count: int
) -> None:
    async with used_queue(store_url(request)) as (queue, commands):
        await queue.everything()
        commands.clear()
        await post_and_tell(queue, *new_messages(count))
        assert without_close(commands) == POST


async def test_a_record_makes_a_keyed_post_cost_eight_commands(
    request: pytest.FixtureRequest,
) -> None:
    async with used_queue(store_url(request)) as (queue, commands):
        await queue.everything()
        commands.clear()
        await post_and_tell(queue, new_message(), key=idempotency())
        assert without_close(commands) == [
            "find queues",
            "find answers",
            "findAndModify queues",
            "insert messages",
            "insert records",
            "update answers",
            "update messages",
            "update records",
        ]
        commands.clear()
        await post_and_tell(queue, new_message(), key=idempotency())
        assert without_close(commands) == ["find queues", "find answers", "find messages"]


def without_close(commands: list[Command]) -> list[str]:
    return [short(command) for command in commands if short(command) != CLOSE]


async def test_the_record_of_a_writer_that_died_is_due_when_it_can_not_be_at_work(
    pair: Pair,
) -> None:
    pair.line.cut_at(3, answer_lost=True)  # the insert of the message
    with pytest.raises(StorageUnavailable):
        await post_and_tell(pair.held, new_message("unanswered"))
    assert await take(pair.sound) == []
    pair.sound.clock.advance(s=HELD_S)
    (message,) = await pair.sound.everything()
    assert await take(pair.sound) == keys(message.seq)
