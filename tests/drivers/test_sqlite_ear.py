"""What is told is heard, and what is not told is missed by the second look."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from queues.model import Topic, TopicKind
from storage_drivers.sqlite.bulletin import Bulletin
from storage_drivers.sqlite.datagram import MOST, digest, pack, unpack, wake_directory
from storage_drivers.sqlite.ear import Ear
from storage_drivers.sqlite.voice import Voice

#: More than any system lets wait in a socket that nobody reads.
TOO_MANY = 2000


class Process:
    """What a server process has of wake-ups. Nothing else runs, so it always has the turn."""

    def __init__(self, database: Path) -> None:
        self.heard: set[bytes] = set()
        bulletin = Bulletin(database)
        self.ear = Ear(database, bulletin, self._hear)
        self.voice = Voice(database, bulletin, self.ear)

    def _hear(self, topics: Sequence[bytes]) -> None:
        self.heard.update(topics)

    def tell(self, *names: str) -> None:
        self.voice.announce()
        self.voice.tell([topic(name) for name in names])

    async def hears(self, *names: str) -> bool:
        """Say whether these, and no others, were heard since the last time."""
        self.ear.has_missed()
        await asyncio.sleep(0)  # What a process tells itself is a callback that is due.
        heard, self.heard = self.heard, set()
        return heard == {digest(topic(name)) for name in names}

    def close(self) -> None:
        self.ear.close()
        self.voice.close()


def topic(name: str) -> Topic:
    return Topic("alpha", TopicKind.QUEUE, name)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "nusku.db"


@pytest.fixture
async def one(database: Path) -> AsyncIterator[Process]:
    process = Process(database)
    process.ear.open()
    yield process
    process.close()


@pytest.fixture
async def two(database: Path) -> AsyncIterator[Process]:
    process = Process(database)
    process.ear.open()
    yield process
    process.close()


@contextmanager
def bound(path: Path) -> Iterator[None]:
    """Listen at the path within the block, and leave the socket behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        yield


def looks(process: Process, count: int = 3) -> list[bool]:
    return [process.ear.has_missed() for _ in range(count)]


async def test_every_process_hears_what_any_of_them_tells(one: Process, two: Process) -> None:
    for teller in (one, two):
        teller.tell("orders", "returns")
        assert await one.hears("orders", "returns")
        assert await two.hears("orders", "returns")
    assert looks(one) == looks(two) == [False] * 3


async def test_what_is_passed_on_was_heard_here_already(one: Process, two: Process) -> None:
    one.voice.pass_on([topic("ready")])
    assert await two.hears("ready")
    assert await one.hears()
    assert looks(one) == looks(two) == [False] * 3


async def test_a_process_that_dies_before_it_tells_is_noticed_at_the_second_look(
    one: Process, two: Process
) -> None:
    two.tell("orders")
    one.voice.announce()
    two.tell("returns")
    assert looks(two) == [False, True, False]
    assert looks(one) == [False, True, False]
    two.tell("orders")
    assert looks(one) == [False] * 3


async def test_what_was_told_before_an_ear_opened_is_not_missed(
    one: Process, database: Path
) -> None:
    for _ in range(5):
        one.tell("orders")
    late = Process(database)
    late.ear.open()
    one.tell("returns")
    assert await late.hears("returns")
    assert looks(late) == [False] * 3
    late.close()


async def test_what_does_not_fit_into_a_socket_comes_with_what_is_told_next(
    one: Process, two: Process
) -> None:
    for number in range(TOO_MANY):
        one.tell(f"queue-{number % 100}")
    for _ in range(TOO_MANY):
        await asyncio.sleep(0)
    two.heard.clear()
    one.tell("orders")
    assert await two.hears("orders", *(f"queue-{number}" for number in range(100)))
    assert looks(two) == [False] * 3


async def test_what_fits_into_no_datagram_is_missed_and_nothing_after_it(
    one: Process, two: Process
) -> None:
    one.tell(*(f"queue-{number}" for number in range(MOST)))
    one.tell("orders")
    assert await two.hears("orders")
    assert looks(two, 2) == [True, False]


async def test_the_sockets_of_the_dead_are_removed_by_who_speaks_and_who_begins_to_listen(
    one: Process, database: Path
) -> None:
    def sockets() -> set[str]:
        return {path.name for path in wake_directory(database).iterdir()}

    with bound(wake_directory(database) / "dead"):
        late = Process(database)
        late.ear.open()
    assert sockets() == {one.ear.name, "dead", late.ear.name}
    one.tell("orders")
    assert sockets() == {one.ear.name, late.ear.name}
    late.close()
    with bound(wake_directory(database) / "dead"):
        pass
    late.ear.open()
    assert sockets() == {one.ear.name, late.ear.name}
    late.close()
    assert wake_directory(database).stat().st_mode & 0o777 == 0o700


async def test_where_there_can_be_no_socket_the_numbers_still_tell(tmp_path: Path) -> None:
    database = tmp_path / ("long" * 30) / "nusku.db"
    database.parent.mkdir()
    deaf, other = Process(database), Process(database)
    deaf.ear.open()
    deaf.tell("orders")
    assert await deaf.hears("orders")
    assert looks(deaf) == [False] * 3
    other.tell("orders")
    assert looks(deaf) == [False, True, False]
    assert deaf.ear.is_in_place()
    deaf.close()


async def test_an_ear_whose_socket_is_gone_is_not_in_place(
    one: Process, two: Process, database: Path
) -> None:
    (wake_directory(database) / one.ear.name).unlink()
    assert not one.ear.is_in_place()
    assert two.ear.is_in_place()
    two.tell("orders")
    one.ear.close()
    one.ear.open()
    two.tell("returns")
    assert await one.hears("returns")


async def test_a_closed_ear_hears_nothing_and_leaves_nothing(
    one: Process, two: Process, database: Path
) -> None:
    one.ear.close()
    two.tell("orders")
    one.tell("returns")
    assert one.heard == set()
    assert [path.name for path in wake_directory(database).iterdir()] == [two.ear.name]
    assert Bulletin(database).news() == 2


@pytest.mark.parametrize("noise", [b"", b"1", b"\xff" * 8, b"\xff" * 17, b"\xff" * 80])
async def test_noise_is_no_news(
    one: Process, two: Process, database: Path, noise: bytes
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(noise, str(wake_directory(database) / two.ear.name))
    one.tell("orders")
    assert await two.hears("orders")


def test_a_datagram_comes_out_as_it_went_in() -> None:
    topics = [digest(topic(f"{number}")) for number in range(3)]
    assert unpack(pack([1, 2**53], topics)) == ([1, 2**53], topics)
    assert unpack(pack([7], [])) == ([7], [])
