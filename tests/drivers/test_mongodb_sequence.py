"""No writer fills in behind a reader's back, whatever happens to it on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from pymongo.errors import DuplicateKeyError

from queues.errors import StorageUnavailable
from queues.model import Message
from storage_drivers.mongodb import Driver, sequence
from storage_drivers.mongodb.layout import message_id
from storage_drivers.mongodb.queues import find_live
from tests.conformance.handle import QueueHandle, seqs_of
from tests.drivers.mongodb_storage import Line, orders, through_a_line
from tests.factories import idempotency, new_message, new_messages
from tests.servers.mongodb import MongoServer, connect

pytestmark = pytest.mark.mongodb

INSERT = 1  # the number of the command of a post that inserts


@dataclass
class Race:
    """A queue seen by a sound process and by one whose line to the store can be cut."""

    sound: QueueHandle
    shaky: QueueHandle
    line: Line
    url: str

    def open_reservations(self) -> int:
        with connect(self.url) as connection:
            doc = connection.get_default_database().queues.find_one({"live": True})
        assert doc is not None
        return len(doc["open"])  # type: ignore[arg-type]

    async def lose_a_writer(self, *, answer_lost: bool) -> None:
        self.line.cut_at(INSERT, answer_lost=answer_lost)
        with pytest.raises(StorageUnavailable):
            await self.shaky.post(*new_messages(3))


@pytest.fixture
async def race(mongodb_server: MongoServer) -> AsyncIterator[Race]:
    async with (
        orders(mongodb_server) as (sound, url),
        through_a_line(sound, mongodb_server, url, timeout_ms=3000) as (shaky, line),
    ):
        await shaky.post(new_message("first"))
        await sound.everything()
        yield Race(sound, shaky, line, url)


def bodies(messages: list[Message]) -> list[bytes]:
    return [message.body for message in messages]


async def test_what_a_dead_writer_reserved_is_skipped_and_closed(race: Race) -> None:
    await race.lose_a_writer(answer_lost=False)
    await race.sound.post(new_message("second"))
    assert race.open_reservations() >= 1
    assert bodies(await race.sound.everything()) == [b"first", b"second"]
    assert race.open_reservations() == 0


async def test_what_a_writer_stored_before_it_died_is_seen_in_its_place(race: Race) -> None:
    await race.lose_a_writer(answer_lost=True)
    await race.sound.post(new_message("second"))
    assert bodies(await race.sound.everything()) == [b"first", b"0", b"1", b"2", b"second"]
    assert race.open_reservations() == 0


async def test_nothing_can_be_inserted_where_a_dead_writer_was_fenced(race: Race) -> None:
    await race.lose_a_writer(answer_lost=False)
    (later,) = await race.sound.post()
    await race.sound.everything()
    bucket = driver(race.sound).db.buckets["alpha orders"]
    with connect(race.url) as connection:
        messages = connection.get_default_database().messages
        for seq in range(later - 3, later):
            with pytest.raises(DuplicateKeyError):
                messages.insert_one({"_id": message_id(bucket, seq)})


async def test_a_reader_waits_for_a_writer_that_is_only_slow(race: Race) -> None:
    race.line.hold("insert messages")
    posting = asyncio.create_task(race.shaky.post(new_message("slow")))
    await race.line.reached.wait()
    await race.sound.post(new_message("fast"))
    doc = await find_live(driver(race.sound).db, "alpha orders")
    assert doc is not None
    assert sequence.view(doc).held
    reading = asyncio.create_task(race.sound.everything())
    race.line.released.set()
    assert bodies(await reading) == [b"first", b"slow", b"fast"]
    await posting


async def test_a_page_that_could_be_filled_does_not_reach_over_a_writer_in_flight(
    race: Race,
) -> None:
    (first,) = await race.sound.listed()
    race.line.hold("insert messages")
    posting = asyncio.create_task(race.shaky.post(new_message("slow")))
    await race.line.reached.wait()
    (fast,) = await race.sound.post(new_message("fast"))
    assert seqs_of((await race.sound.page(after=first, limit=1)).messages) == [fast]
    race.line.released.set()
    assert min(await posting) > fast


@pytest.mark.parametrize("key", [None, idempotency()])
async def test_a_fenced_writer_stores_above_what_readers_have_seen(
    race: Race, key: object
) -> None:
    race.line.hold("insert messages")
    posting = asyncio.create_task(
        race.shaky.post(*new_messages(3), idempotency=key)  # type: ignore[arg-type]
    )
    await race.line.reached.wait()
    (seen,) = await race.sound.post(new_message("fast"))
    assert bodies(await race.sound.everything()) == [b"first", b"fast"]
    race.line.released.set()
    late = await posting
    assert min(late) > seen
    assert seqs_of(await race.sound.everything())[-3:] == late
    assert race.open_reservations() == 0


async def test_a_writer_that_is_fenced_before_it_knows_its_range_starts_over(
    race: Race,
) -> None:
    await race.sound.post()  # so the shaky process has to correct what it believed
    await race.sound.everything()
    race.line.hold("update queues")
    posting = asyncio.create_task(race.shaky.post(new_message("late")))
    await race.line.reached.wait()
    (seen,) = await race.sound.post(new_message("fast"))
    assert bodies(await race.sound.everything())[-1] == b"fast"
    race.line.released.set()
    (late,) = await posting
    assert late > seen
    assert bodies(await race.sound.everything())[-1] == b"late"


async def test_the_tail_is_not_below_what_was_stored_or_seen(race: Race) -> None:
    for _ in range(3):
        (seq,) = await race.sound.post()
        assert await tail(race.sound) == seq
    race.line.hold("insert messages")
    posting = asyncio.create_task(race.shaky.post(new_message("slow")))
    await race.line.reached.wait()
    assert await tail(race.sound) >= seq
    race.line.released.set()
    (slow,) = await posting
    assert await tail(race.sound) == slow


async def test_nothing_is_stored_at_or_below_the_tail_later(race: Race) -> None:
    race.line.hold("insert messages")
    posting = asyncio.create_task(race.shaky.post(new_message("slow")))
    await race.line.reached.wait()
    seen = await tail(race.sound)
    race.line.released.set()
    assert min(await posting) > seen


async def test_the_tail_does_not_go_back_for_a_writer_that_knows_little(race: Race) -> None:
    for _ in range(3):
        await race.sound.post()
    before = await tail(race.sound)
    race.line.hold("update queues")
    posting = asyncio.create_task(race.shaky.post())
    await race.line.reached.wait()
    assert await tail(race.sound) >= before
    race.line.released.set()
    assert min(await posting) > before


async def test_the_tail_of_a_dead_writer_is_above_what_it_reserved(race: Race) -> None:
    await race.lose_a_writer(answer_lost=False)
    seen = await tail(race.sound)
    assert race.open_reservations() == 0
    assert min(await race.sound.post()) == seen + 1


async def test_posting_from_many_processes_leaves_no_reservation(race: Race) -> None:
    posted = await asyncio.gather(
        *((race.sound, race.shaky)[n % 2].post(*new_messages(2)) for n in range(20))
    )
    flat = sorted(seq for seqs in posted for seq in seqs)
    assert seqs_of(await race.sound.everything())[1:] == flat
    assert len(set(flat)) == 40
    await driver(race.sound).close()
    await driver(race.shaky).close()
    assert race.open_reservations() == 0


async def test_dead_reservations_do_not_pile_up_where_nobody_lists(race: Race) -> None:
    with connect(race.url) as connection:
        queues = connection.get_default_database().queues
        doc = queues.find_one({"live": True})
        assert doc is not None
        seq, long_ago = int(str(doc["seq"])), race.sound.now_ms - 3_600_000
        dead = {
            f"open.dead{n}": {"low": seq + n, "n": 1, "at": long_ago, "repeated": False}
            for n in range(130)
        }
        queues.update_one({"live": True}, {"$inc": {"seq": 130}, "$set": dead})
    seqs = [(await race.sound.post())[0] for _ in range(10)]
    assert race.open_reservations() <= 102
    assert seqs_of(await race.sound.everything())[1:] == seqs
    assert race.open_reservations() == 0


async def tail(handle: QueueHandle) -> int:
    found = await handle.storage.messages.tail(handle.project, handle.queue)
    assert found.seq == found.number
    return found.seq


def driver(handle: QueueHandle) -> Driver:
    assert isinstance(handle.storage, Driver)
    return handle.storage
