"""How many commands a request costs; each is a round trip to the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.conformance.handle import QueueHandle
from tests.drivers.mongodb_storage import Line, orders, through_a_line
from tests.factories import idempotency, new_message, new_messages
from tests.servers.mongodb import MongoServer

pytestmark = pytest.mark.mongodb

CLOSE = "update queues"
POST = ["findAndModify queues", "insert messages"]


@pytest.fixture
async def watched(mongodb_server: MongoServer) -> AsyncIterator[tuple[QueueHandle, Line]]:
    async with (
        orders(mongodb_server) as (handle, url),
        through_a_line(handle, mongodb_server, url) as (queue, line),
    ):
        await queue.post()
        await queue.everything()
        line.commands.clear()
        yield queue, line


async def test_a_post_costs_two_commands_and_closes_in_the_background(
    watched: tuple[QueueHandle, Line],
) -> None:
    queue, line = watched
    await queue.post(*new_messages(10))
    assert [command for command in line.commands if command != CLOSE] == POST
    await queue.everything()
    assert line.commands.count(CLOSE) == 1


async def test_posts_that_wait_for_one_another_share_their_commands(
    watched: tuple[QueueHandle, Line],
) -> None:
    queue, line = watched
    seqs = await asyncio.gather(*(queue.post(new_message(str(n))) for n in range(50)))
    assert len({seq for (seq,) in seqs}) == 50
    assert [command for command in line.commands if command != CLOSE] == POST
    assert [int(message.body) for message in (await queue.everything())[1:]] == list(range(50))


async def test_posts_from_another_process_cost_one_correction(
    mongodb_server: MongoServer,
) -> None:
    async with (
        orders(mongodb_server) as (handle, url),
        through_a_line(handle, mongodb_server, url) as (queue, line),
    ):
        await queue.post()
        await queue.everything()
        await handle.post()
        await handle.everything()
        line.commands.clear()
        await queue.post()
        assert line.commands[:3] == [POST[0], "update queues", POST[1]]


async def test_a_claim_costs_three_commands(watched: tuple[QueueHandle, Line]) -> None:
    queue, line = watched
    await queue.claim_some(1)
    assert line.commands == ["find queues", "find messages", "update messages"]


async def test_deleting_costs_one_command_when_all_goes_well(
    watched: tuple[QueueHandle, Line],
) -> None:
    queue, line = watched
    claim = await queue.claim_some(1)
    line.commands.clear()
    assert await queue.delete(claim.messages[0].seq, claim_ids=[claim.id]) == {}
    assert line.commands == ["delete messages"]


async def test_a_page_costs_two_commands(watched: tuple[QueueHandle, Line]) -> None:
    queue, line = watched
    assert len(await queue.listed()) == 1
    assert line.commands == ["find queues", "find messages"]


async def test_a_page_behind_hidden_messages_costs_four_commands(
    watched: tuple[QueueHandle, Line],
) -> None:
    queue, line = watched
    await queue.claim_some(1)
    line.commands.clear()
    assert await queue.listed() == []
    assert line.commands == ["find queues"] + ["find messages"] * 3


async def test_a_keyed_post_costs_six_commands(watched: tuple[QueueHandle, Line]) -> None:
    queue, line = watched
    await queue.post(idempotency=idempotency())
    assert line.commands[:6] == [
        "find queues",
        "find answers",
        *POST,
        "update answers",
        "update messages",
    ]
