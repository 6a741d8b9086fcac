"""Server-sent events: what is streamed, from where, and when it ends."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import pytest

from queues.config import Settings
from queues.errors import StorageUnavailable
from queues.operations.following import Following
from storage_drivers import open_storage
from tests.clock import MovableClock
from tests.transport.conftest import Start
from tests.transport.faults import FaultyStorage
from tests.transport.listening import Listener
from tests.transport.service import OTHER_CLIENT, Service, running
from transport import event_streams

QUEUE = "/v2/queues/q"
MESSAGES = f"{QUEUE}/messages"
CURSOR = f"{QUEUE}/cursors/r"
ALL = f"{MESSAGES}?echo=true"


@pytest.fixture
def _restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send heartbeats all the time."""
    monkeypatch.setattr(event_streams, "HEARTBEAT_S", 0.02)


async def test_what_is_there_comes_first_then_what_is_posted(service: Service) -> None:
    first, second = await service.post_bodies("q", 1, 2)
    async with Listener(service, ALL) as listener:
        events = await listener.events(2)
        assert [(event.id, event.data["body"]) for event in events] == [(first, 1), (second, 2)]
        (third,) = await service.post_bodies("q", 3)
        event = await listener.event()
        assert event is not None
        assert (event.id, event.kind, event.data["body"]) == (third, "message", 3)
    (listed,) = (await service.get(f"{ALL}&limit=1")).json["messages"]
    assert events[0].data == listed


async def test_it_is_an_event_stream_that_nobody_keeps(service: Service) -> None:
    async with Listener(service, ALL) as listener:
        start = await listener.start
    headers = dict(start["headers"])
    assert start["status"] == 200
    assert headers[b"content-type"] == b"text/event-stream"
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"x-accel-buffering"] == b"no"
    assert b"content-length" not in headers


@pytest.mark.parametrize("how", ["header", "marker"])
async def test_it_goes_on_where_the_client_was(service: Service, how: str) -> None:
    ids = await service.post_bodies("q", *range(30))
    headers = {"Last-Event-ID": ids[10]} if how == "header" else {}
    path = f"{ALL}&marker={ids[10] if how == 'marker' else ids[3]}"
    async with Listener(service, path, headers=headers) as listener:
        events = await listener.events(19)
    assert [event.id for event in events] == ids[11:]


async def test_a_body_of_many_lines_stays_what_it_is(service: Service) -> None:
    body = b'{\r\n "a": [1,\r2],\n\n "b": "\\n"}'
    await service.post(MESSAGES, data=b'{"messages": [{"body": ' + body + b"}]}")
    async with Listener(service, ALL) as listener:
        event = await listener.event()
    assert event is not None
    assert event.data["body"] == {"a": [1, 2], "b": "\n"}


async def test_it_leaves_out_what_it_is_not_asked_for(service: Service) -> None:
    await service.post_bodies("q", "own")
    (claimed,) = await service.post_bodies("q", "claimed")
    await service.claim("q")
    await service.post(
        MESSAGES,
        {"messages": [{"body": "other"}]},
        headers={"Client-ID": OTHER_CLIENT},
    )
    async with Listener(service, MESSAGES) as listener:
        assert [event.data["body"] for event in await listener.events(1)] == ["other"]
    async with Listener(service, f"{ALL}&include_claimed=true&detailed=true") as listener:
        events = await listener.events(3)
    assert [event.data["state"] for event in events] == ["claimed", "claimed", "ready"]
    assert events[1].id == claimed


async def test_a_delay_holds_the_stream_unless_delayed_messages_are_wanted(
    service: Service, clock: MovableClock
) -> None:
    await service.post_bodies("q", "late", delay=60)
    await service.post_bodies("q", "soon")
    async with Listener(service, f"{ALL}&include_delayed=true") as listener:
        events = await listener.events(2)
    assert [event.data["body"] for event in events] == ["late", "soon"]
    async with Listener(service, ALL) as listener:
        assert await listener.status() == 200
        clock.advance(s=60)
        await service.post_bodies("q", "last")
        events = await listener.events(3)
        assert listener.heartbeats == 1, "nothing was sent before"
    assert [event.data["body"] for event in events] == ["late", "soon", "last"]


@pytest.mark.usefixtures("_restless")
async def test_something_comes_also_when_nothing_happens(service: Service) -> None:
    async with Listener(service, ALL) as listener:
        await asyncio.sleep(0.3)
        await service.post_bodies("q", 1)
        assert await listener.event()
        assert listener.heartbeats > 3


async def test_no_more_is_read_than_is_taken(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [one for n in range(5) for one in await service.post_bodies("q", *range(20))]
    reads = 0
    read = Following.read

    async def counted(self: Following, *args: object, **kwargs: object) -> object:
        nonlocal reads
        reads += 1
        return await read(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Following, "read", counted)
    async with Listener(service, ALL, takes=1) as listener:
        await listener.status()
        await asyncio.sleep(0.3)
        assert reads <= 2
        listener.take(100)
        assert [event.id for event in await listener.events(100)] == ids


async def test_who_leaves_is_no_longer_waited_for(service: Service) -> None:
    async with Listener(service, ALL) as listener:
        await listener.status()
    # The listener has waited until the application was done with it.
    assert await listener.event() is None


async def test_it_ends_when_the_application_stops(start: Start) -> None:
    async with start() as service:
        listener = Listener(service, ALL)
        await listener.__aenter__()
        assert await listener.status() == 200
    assert await listener.event() is None
    await listener.__aexit__()


async def test_a_store_that_is_away_for_a_while_ends_no_stream(
    tmp_path: Path, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "_RETRY_S", 0.02)
    storage = FaultyStorage(open_storage(f"sqlite:///{tmp_path / 'q.db'}", timeout_ms=5000))
    async with (
        running(storage, clock, Settings()) as service,
        Listener(service, ALL) as listener,
    ):
        assert await listener.status() == 200
        storage.fail(StorageUnavailable("away"))
        await listener.quiet(pieces=10)
        storage.recover()
        (posted,) = await service.post_bodies("q", 1)
        event = await listener.event()
        assert event is not None
        assert event.id == posted


async def test_who_leaves_while_the_store_is_away_is_no_longer_waited_for(
    tmp_path: Path, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "_RETRY_S", 0.02)
    storage = FaultyStorage(open_storage(f"sqlite:///{tmp_path / 'q.db'}", timeout_ms=5000))
    async with running(storage, clock, Settings()) as service:
        async with Listener(service, ALL) as listener:
            assert await listener.status() == 200
            storage.fail(StorageUnavailable("away"))
            await listener.quiet(pieces=10)
        # The listener has waited until the application was done with it.
        storage.recover()


async def test_a_page_is_not_kept_once_it_was_taken(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "HEARTBEAT_S", 0.02)
    for _ in range(5):
        await service.post_bodies("q", "x" * 200_000)
    tracemalloc.start()
    try:
        async with Listener(service, ALL) as listener:
            await listener.events(5)
            await listener.quiet(pieces=10)
            assert tracemalloc.get_traced_memory()[0] < 500_000
    finally:
        tracemalloc.stop()


async def test_what_is_wrong_from_the_start_is_an_error(service: Service) -> None:
    await service.put(QUEUE)
    for path, headers, status in (
        (f"{MESSAGES}?marker=nonsense", {}, 400),
        (MESSAGES, {"Last-Event-ID": "nonsense"}, 400),
        (f"{MESSAGES}?echo=2", {}, 400),
        (f"{CURSOR}/messages", {}, 404),
        (QUEUE, {}, 406),
        (f"{QUEUE}/stats", {}, 406),
    ):
        async with Listener(service, path, headers=headers) as listener:
            assert await listener.status() == status
            assert set(await listener.document()) >= {"title", "description"}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/event-stream", b"text/event-stream"),
        ("text/event-stream, application/json;q=0.5", b"text/event-stream"),
        ("text/event-stream;q=0.5, application/json", b"application/json"),
        ("*/*", b"application/json"),
        ("text/*", b"text/event-stream"),
    ],
)
async def test_what_is_preferred_is_sent(service: Service, accept: str, kind: bytes) -> None:
    async with Listener(service, ALL, headers={"Accept": accept}) as listener:
        assert dict((await listener.start)["headers"])[b"content-type"] == kind


async def test_a_cursor_can_be_streamed(service: Service) -> None:
    await service.put(QUEUE)
    await service.put(CURSOR)
    await service.post_bodies("q", 1, 2)
    await service.claim("q")
    async with Listener(service, f"{CURSOR}/messages") as listener:
        events = await listener.events(2)
        assert [event.data["body"] for event in events] == [1, 2]
        assert [event.id for event in events] == [event.data["position"] for event in events]
        await service.post_bodies("q", 3)
        assert await listener.event()
    assert (await service.post(f"{CURSOR}/ack", {"position": events[0].id})).status == 204
    async with Listener(service, f"{CURSOR}/messages") as listener:
        assert [event.data["body"] for event in await listener.events(2)] == [2, 3]
    headers = {"Last-Event-ID": events[1].id or ""}
    async with Listener(service, f"{CURSOR}/messages", headers=headers) as listener:
        assert [event.data["body"] for event in await listener.events(1)] == [3]


async def test_a_cursor_that_becomes_too_old_says_so_and_ends(service: Service) -> None:
    await service.put(QUEUE)
    await service.put(CURSOR)
    async with Listener(service, f"{CURSOR}/messages") as listener:
        assert await listener.status() == 200
        await service.post_bodies("q", "late", delay=60)
        await service.post(f"{QUEUE}/purge")
        await service.post_bodies("q", "next")
        event = await listener.event()
        assert event is not None
        assert (event.kind, event.id) == ("error", None)
        assert (event.data["code"], event.data["lost"]) == ("cursor_too_old", 1)
        assert await listener.event() is None
    async with Listener(service, f"{CURSOR}/messages") as listener:
        assert await listener.status() == 410
