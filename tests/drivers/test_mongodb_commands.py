"""How many commands a request costs; each is a round trip to the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from queues.storage import HIDDEN_PER_LISTING
from tests.conformance.handle import QueueHandle, seqs_of
from tests.drivers.mongodb_recorder import Command, short, used_queue
from tests.drivers.mongodb_storage import opened, store_url
from tests.factories import idempotency, new_message, new_messages
from tests.servers.mongodb import connect

pytestmark = pytest.mark.mongodb

CLOSE = "update queues"
POST = ["findAndModify queues", "insert messages"]
LIST = ["aggregate queues"]
CLAIM = ["find queues", "find messages", "update messages"]
DELETE = ["delete messages"]

Used = tuple[QueueHandle, list[Command]]
Call = Callable[[QueueHandle], Awaitable[object]]


@pytest.fixture
def mongodb_url(request: pytest.FixtureRequest) -> str:
    return store_url(request)


@pytest.fixture
async def used(mongodb_url: str) -> AsyncIterator[Used]:
    async with used_queue(mongodb_url) as (queue, commands):
        yield queue, commands
    with connect(mongodb_url) as connection:
        connection.drop_database(connection.get_default_database().name)


async def cost(used: Used, call: Call) -> list[str]:
    """Return the commands of a call, without those that nobody waits for."""
    queue, commands = used
    await queue.everything()
    commands.clear()
    await call(queue)
    return [short(command) for command in commands if short(command) != CLOSE]


@pytest.mark.parametrize("count", [1, 10])
async def test_a_post_costs_two_commands(used: Used, count: int) -> None:
    assert await cost(used, lambda queue: queue.post(*new_messages(count))) == POST


async def test_the_reservation_of_a_post_is_closed_by_one_command_in_the_background(
    used: Used,
) -> None:
    queue, commands = used
    await cost(used, lambda queue: queue.post())
    await queue.everything()
    assert [short(command) for command in commands].count(CLOSE) == 1


async def test_the_first_post_to_a_queue_costs_two_commands(used: Used) -> None:
    fresh = used[0].on(queue="fresh")
    await fresh.create()
    assert await cost(used, lambda _: fresh.post()) == POST


async def test_posts_that_wait_for_one_another_share_their_commands(used: Used) -> None:
    async def fifty(queue: QueueHandle) -> None:
        seqs = await asyncio.gather(*(queue.post(new_message(str(n))) for n in range(50)))
        assert len({seq for (seq,) in seqs}) == 50

    assert await cost(used, fifty) == POST
    assert [int(m.body) for m in (await used[0].everything())[1:]] == list(range(50))


async def test_a_post_after_one_of_another_process_costs_a_correction(
    used: Used, mongodb_url: str
) -> None:
    queue, commands = used
    async with opened(mongodb_url) as other:
        await queue.on(storage=other).create()
        await queue.on(storage=other).post()
        await queue.on(storage=other).everything()
    commands.clear()
    await queue.post()
    assert [short(command) for command in commands][:3] == [POST[0], "update queues", POST[1]]


@pytest.mark.parametrize("count", [1, 10])
async def test_a_claim_costs_three_commands(used: Used, count: int) -> None:
    await used[0].post(*new_messages(count))
    assert await cost(used, lambda queue: queue.claim_some(count)) == CLAIM


@pytest.mark.parametrize("count", [1, 10])
async def test_deleting_costs_one_command(used: Used, count: int) -> None:
    seqs = await used[0].post(*new_messages(count))
    assert await cost(used, lambda queue: queue.delete(*seqs)) == DELETE
    assert await used[0].get(*seqs) == []


@pytest.mark.parametrize("count", [1, 10])
async def test_deleting_under_a_claim_costs_one_command(used: Used, count: int) -> None:
    queue, _ = used
    await queue.post(*new_messages(count))
    claim = await queue.claim_some(count)
    seqs = seqs_of(claim.messages)
    assert await cost(used, lambda queue: queue.delete(*seqs, claim_ids=[claim.id])) == DELETE
    assert await queue.get(*seqs) == []


async def test_the_first_delete_of_a_process_costs_a_look_at_the_queue(
    used: Used, mongodb_url: str
) -> None:
    queue, commands = used
    (seq,) = await queue.listed()
    async with opened(mongodb_url) as other:
        commands.clear()
        await queue.on(storage=other).delete(seq)
        assert [short(command) for command in commands] == ["find queues", *DELETE]


async def test_an_expired_message_is_on_no_page_whatever_is_asked_for(used: Used) -> None:
    queue, _ = used
    queue.clock.advance(s=3600)
    for flags in ({}, {"claimed": True}, {"delayed": True}, {"but_of": "me"}):
        assert await queue.listed(**flags) == []


@pytest.mark.parametrize("limit", [1, 10, 100])
async def test_a_page_costs_one_command(used: Used, limit: int) -> None:
    await used[0].post(*new_messages(150))
    assert await cost(used, lambda queue: queue.listed(limit=limit)) == LIST


async def test_a_page_of_a_queue_that_is_not_there_costs_one_command(used: Used) -> None:
    await used[0].drop()
    assert await cost(used, lambda queue: queue.listed()) == LIST


@pytest.mark.parametrize("limit", [10, 1000])
async def test_a_page_behind_hidden_messages_costs_one_command(used: Used, limit: int) -> None:
    queue, _ = used
    await queue.post(*new_messages(40))
    await queue.claim_some(20)
    assert await cost(used, lambda queue: queue.listed(limit=limit)) == LIST


async def test_a_page_of_more_hidden_messages_than_one_looks_at_costs_one_command(
    used: Used,
) -> None:
    for _ in range(HIDDEN_PER_LISTING // 100 + 1):
        await used[0].post(*new_messages(100, delay_s=60))
    assert await cost(used, lambda queue: queue.page(after=1, limit=5)) == LIST


async def test_only_the_end_of_a_backlog_costs_a_second_command(used: Used) -> None:
    queue, _ = used
    first, second, *_ = await queue.post(*new_messages(25))
    assert await cost(used, lambda queue: queue.page(after=first, limit=20)) == LIST
    assert await cost(used, lambda queue: queue.page(after=second, limit=20)) == LIST
    await queue.page(limit=20)
    commands = used[1]
    commands.clear()
    page = await queue.page(after=second, limit=30)
    assert len(page.messages) == 23
    assert [short(command) for command in commands] == LIST * 2


async def test_the_first_page_after_a_purge_by_another_process_costs_a_second_command(
    used: Used, mongodb_url: str
) -> None:
    queue, commands = used
    async with opened(mongodb_url) as other:
        await queue.on(storage=other).purge()
    for expected in (LIST * 2, LIST):
        commands.clear()
        assert await queue.listed() == []
        assert [short(command) for command in commands] == expected


async def test_the_first_page_of_a_process_costs_a_look_at_the_queue(
    used: Used, mongodb_url: str
) -> None:
    queue, commands = used
    async with opened(mongodb_url) as other:
        commands.clear()
        assert len(await queue.on(storage=other).listed()) == 1
        assert [short(command) for command in commands] == ["find queues", *LIST]


async def test_a_key_makes_a_post_cost_six_commands(used: Used) -> None:
    assert await cost(used, lambda queue: queue.post(idempotency=idempotency())) == [
        "find queues",
        "find answers",
        *POST,
        "update answers",
        "update messages",
    ]


async def test_a_repeated_post_costs_three_commands(used: Used) -> None:
    await used[0].post(idempotency=idempotency())
    assert await cost(used, lambda queue: queue.post(idempotency=idempotency())) == [
        "find queues",
        "find answers",
        "find messages",
    ]


@pytest.mark.parametrize("count", [1, 10])
async def test_a_key_makes_a_claim_cost_six_commands(used: Used, count: int) -> None:
    await used[0].post(*new_messages(count))
    assert await cost(used, lambda queue: queue.claim(count, idempotency=idempotency())) == [
        CLAIM[0],
        "find answers",
        "update answers",
        *CLAIM[1:],
        "update answers",
    ]
