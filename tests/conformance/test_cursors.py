"""Cursors: every reader sees everything in order, or is told what is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from queues import ids
from queues.errors import (
    CursorNotFound,
    CursorTooOld,
    InvalidRequest,
    MessageNotFound,
    QueueNotFound,
)
from queues.operations.claims import Wanted
from queues.storage import Storage
from tests.clock import MovableClock
from tests.conformance.harness import Harness
from tests.conformance.readers import PROJECT, QUEUE, TAG, Server, end_of, position_of


@pytest.fixture
async def server(storage: Storage, clock: MovableClock) -> Server:
    server = Server(storage, clock)
    await server.operations.queues.create(PROJECT, QUEUE, {})
    return server


async def test_a_cursor_is_created_once(server: Server) -> None:
    await server.post(1, 2)
    assert await server.create()
    assert not await server.create(start="newest")
    assert await server.bodies() == [1, 2]


async def test_of_concurrent_creations_one_creates(server: Server) -> None:
    created = await asyncio.gather(*(server.create() for _ in range(10)))
    assert sorted(created) == [False] * 9 + [True]


async def test_it_begins_where_it_is_told(server: Server) -> None:
    posted = await server.post(1, 2, 3)
    await server.create("oldest", "oldest")
    await server.create("newest", "newest")
    await server.create("behind", posted[0])
    await server.post(4)
    assert await server.bodies("oldest") == [1, 2, 3, 4]
    assert await server.bodies("newest") == [4]
    assert await server.bodies("behind") == [2, 3, 4]
    assert [await server.lag(name) for name in ("oldest", "newest", "behind")] == [4, 1, 3]


async def test_in_an_empty_queue_all_beginnings_are_the_same(server: Server) -> None:
    await server.create("oldest", "oldest")
    await server.create("newest", "newest")
    assert await server.bodies("oldest") == await server.bodies("newest") == []
    assert await server.lag("oldest") == 0
    await server.post(1)
    assert await server.bodies("oldest") == await server.bodies("newest") == [1]


async def test_the_oldest_is_the_oldest_that_is_left(server: Server) -> None:
    posted = await server.post(1, 2, 3)
    await server.remove(*posted[:2])
    await server.create()
    assert await server.bodies() == [3]
    await server.remove(posted[2])
    await server.create("later")
    await server.post(4)
    assert await server.bodies("later") == [4]


async def test_what_does_not_exist_is_refused(server: Server) -> None:
    (posted,) = await server.post(1)
    await server.remove(posted)
    for start in (posted, "nonsense", posted[:14] + "0" * 8):
        with pytest.raises(MessageNotFound):
            await server.create(start=start)
    with pytest.raises(CursorNotFound):
        await server.read()
    with pytest.raises(CursorNotFound):
        await server.acknowledge(ids.position(0, 0, TAG))
    with pytest.raises(QueueNotFound):
        await server.cursors.create(PROJECT, "absent", "r", start="oldest")
    with pytest.raises(InvalidRequest):
        await server.create("no name!")


async def test_reading_moves_nothing_and_acknowledging_moves_on(server: Server) -> None:
    await server.post(1, 2, 3)
    await server.create()
    first = await server.read(limit=2)
    assert await server.bodies() == [1, 2, 3]
    await server.acknowledge(end_of(first))
    assert await server.bodies() == [3]
    assert await server.lag() == 1
    await server.acknowledge(end_of(await server.read()))
    assert await server.bodies() == []
    assert await server.lag() == 0


async def test_one_can_read_ahead(server: Server) -> None:
    await server.post(1, 2, 3)
    await server.create()
    first = await server.read(limit=1)
    second = await server.read(after=end_of(first), limit=1)
    third = await server.read(after=end_of(second))
    bodies = [int(each.messages[0].body) for each in (first, second, third)]
    assert bodies == [1, 2, 3]
    last = await server.read(after=end_of(third))
    assert (list(last.messages), last.end) == ([], third.end)
    assert await server.lag() == 3


async def test_a_late_acknowledgement_changes_nothing(server: Server) -> None:
    await server.post(1, 2, 3)
    await server.create()
    reading = await server.read()
    await server.acknowledge(position_of(reading, 1))
    await server.acknowledge(position_of(reading, 0))
    assert await server.bodies() == [3]


async def test_of_concurrent_acknowledgements_the_furthest_counts(server: Server) -> None:
    await server.post(*range(10))
    await server.create()
    reading = await server.read()
    positions = [position_of(reading, index) for index in (3, 8, 1, 5, 7, 0)]
    await asyncio.gather(*map(server.acknowledge, positions))
    assert await server.bodies() == [9]


async def test_an_acknowledgement_is_a_position_of_this_queue(server: Server) -> None:
    (posted,) = await server.post(1)
    await server.create()
    end = (await server.read()).end
    for position in (
        "",
        "nonsense",
        posted,
        ids.position(end.seq, end.number, "00000000"),
        ids.position(end.seq + 1, end.number, TAG),
        ids.position(end.seq, end.number + 1, TAG),
    ):
        with pytest.raises(InvalidRequest, match="position"):
            await server.acknowledge(position)
    with pytest.raises(InvalidRequest, match="after"):
        await server.read(after="nonsense")
    assert await server.bodies() == [1]


async def test_all_readers_see_everything_also_what_is_claimed(server: Server) -> None:
    await server.post(1, 2, 3)
    await server.create("a")
    await server.create("b")
    await server.operations.claims.create(PROJECT, QUEUE, Wanted(None, None, 2, None))
    assert await server.bodies("a") == await server.bodies("b") == [1, 2, 3]
    await server.acknowledge(end_of(await server.read("a")), "a")
    assert await server.bodies("a") == []
    assert await server.bodies("b") == [1, 2, 3]


async def test_a_delay_holds_the_reader_until_it_ends(
    server: Server, clock: MovableClock
) -> None:
    await server.create()
    await server.post(1)
    await server.post(2, delay_s=60)
    await server.post(3)
    assert await server.bodies() == [1]
    await server.acknowledge(end_of(await server.read()))
    assert await server.bodies() == []
    clock.advance(s=60)
    assert await server.bodies() == [2, 3]


LOSSES: dict[str, Callable[[list[str]], list[str]]] = {
    "at the beginning": lambda posted: posted[:2],
    "everything": lambda posted: posted,
}


@pytest.mark.parametrize("choose", LOSSES.values(), ids=LOSSES)
async def test_what_is_gone_is_reported_until_the_reader_goes_on(
    server: Server, choose: Callable[[list[str]], list[str]]
) -> None:
    await server.create()
    posted = await server.post(*range(5))
    gone = choose(posted)
    await server.remove(*gone)
    lost, oldest = await server.lost()
    assert lost == len(gone)
    assert await server.lost() == (lost, oldest)
    await server.acknowledge(oldest)
    assert await server.bodies() == list(range(len(gone), 5))
    await server.post(9)
    assert await server.bodies() == [*range(len(gone), 5), 9]


async def test_a_page_ends_before_a_gap_and_the_next_one_reports_it(server: Server) -> None:
    await server.create()
    posted = await server.post(*range(6))
    await server.remove(*posted[2:4])
    reading = await server.read()
    assert [int(message.body) for message in reading.messages] == [0, 1]
    with pytest.raises(CursorTooOld) as caught:
        await server.read(after=end_of(reading))
    assert caught.value.lost == 2
    await server.acknowledge(end_of(reading))
    lost, oldest = await server.lost()
    await server.acknowledge(oldest)
    assert (lost, await server.bodies()) == (2, [4, 5])


async def test_a_gap_at_the_end_is_reported(server: Server) -> None:
    await server.create()
    posted = await server.post(1, 2, 3)
    await server.acknowledge(position_of(await server.read(), 0))
    await server.remove(*posted[1:])
    lost, oldest = await server.lost()
    await server.acknowledge(oldest)
    assert (lost, await server.bodies(), await server.lag()) == (2, [], 0)


async def test_what_was_acknowledged_may_be_gone(server: Server) -> None:
    await server.create()
    posted = await server.post(1, 2, 3)
    await server.acknowledge(position_of(await server.read(), 1))
    await server.remove(*posted[:2])
    assert await server.bodies() == [3]


@pytest.mark.parametrize("swept", [False, True])
async def test_what_has_expired_is_lost(
    server: Server, storage: Storage, clock: MovableClock, swept: bool
) -> None:
    await server.create()
    await server.post(1, 2, ttl_s=60)
    await server.post(3)
    clock.advance(s=61)
    if swept:
        await storage.sweep(limit=100, now_ms=clock.now_ms())
    lost, oldest = await server.lost()
    await server.acknowledge(oldest)
    assert (lost, await server.bodies()) == (2, [3])


async def test_what_was_purged_is_lost(server: Server) -> None:
    await server.create()
    await server.post(1, 2)
    await server.operations.queues.purge(PROJECT, QUEUE)
    lost, oldest = await server.lost()
    await server.acknowledge(oldest)
    await server.post(3)
    assert (lost, await server.bodies()) == (2, [3])


async def test_deleting_a_queue_deletes_its_cursors(
    server: Server, clock: MovableClock
) -> None:
    await server.post(1)
    await server.create()
    position = end_of(await server.read())
    await server.operations.queues.delete(PROJECT, QUEUE)
    with pytest.raises(CursorNotFound):
        await server.read()
    clock.advance(s=1)
    await server.post(2)
    for call in (server.read(), server.lag(), server.acknowledge(position)):
        with pytest.raises(CursorNotFound):
            await call
    assert await server.names() == []
    assert await server.create()
    assert await server.bodies() == [2]


async def test_a_cursor_that_was_left_behind_is_not_that_of_the_next_queue(
    server: Server, storage: Storage, clock: MovableClock
) -> None:
    await server.post(1)
    await server.create()
    # As if somebody had created it while the queue was being deleted.
    await storage.queues.delete(PROJECT, QUEUE, now_ms=clock.now_ms())
    clock.advance(s=1)
    await server.post(2)
    with pytest.raises(CursorNotFound):
        await server.read()
    assert await server.names() == []
    assert await server.create()
    assert await server.bodies() == [2]


async def test_cursors_are_listed_by_name(server: Server) -> None:
    for name in ("b", "c", "a"):
        await server.create(name)
    page = await server.cursors.list(PROJECT, QUEUE, marker="", limit=2)
    assert ([cursor.name for cursor in page.cursors], page.marker) == (["a", "b"], "b")
    page = await server.cursors.list(PROJECT, QUEUE, marker="b", limit=2)
    assert ([cursor.name for cursor in page.cursors], page.marker) == (["c"], None)
    for _ in range(2):
        await server.cursors.delete(PROJECT, QUEUE, "c")
    assert await server.names() == ["a", "b"]
    with pytest.raises(CursorNotFound):
        await server.read("c")


async def test_it_is_the_same_for_another_process(
    server: Server, harness: Harness, clock: MovableClock
) -> None:
    await server.post(1, 2)
    await server.create()
    await server.acknowledge(position_of(await server.read(), 0))
    other = Server(await harness.another(), clock)
    assert await other.bodies() == [2]


async def test_a_reader_misses_nothing_of_many_writers(
    server: Server, harness: Harness, clock: MovableClock
) -> None:
    others = [Server(await harness.another(), clock) for _ in range(2)]
    await server.create()

    async def write(one: Server, first: int) -> None:
        for body in range(first, first + 40):
            await one.post(body)

    async def read() -> list[int]:
        seen: list[int] = []
        while len(seen) < 80:
            reading = await server.read(limit=7)
            seen += [int(message.body) for message in reading.messages]
            await server.acknowledge(end_of(reading))
        return seen

    seen, *_ = await asyncio.gather(read(), write(others[0], 0), write(others[1], 100))
    assert sorted(seen) == [*range(40), *range(100, 140)]
    assert [body for body in seen if body < 100] == list(range(40))
