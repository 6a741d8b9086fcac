"""Cursors over HTTP."""

from __future__ import annotations

import asyncio

import pytest

from tests.transport.service import MSGPACK, Service

QUEUE = "/v2/queues/q"
CURSORS = f"{QUEUE}/cursors"
CURSOR = f"{CURSORS}/billing"
BAD_BODY = (400, "Invalid request body")
OUT_OF_RANGE = (400, "Invalid API request")
NOT_FOUND = (404, "Not found")


@pytest.fixture
async def cursor(service: Service) -> str:
    """A cursor at the beginning of an empty queue."""
    await service.put(QUEUE)
    assert (await service.put(CURSOR)).status == 201
    return CURSOR


async def test_it_is_created_and_shown(service: Service) -> None:
    await service.post_bodies("q", 1, 2)
    created = await service.put(CURSOR, {"from": "oldest"})
    assert (created.status, created.content) == (201, b"")
    assert created.headers["location"] == CURSOR
    again = await service.put(CURSOR, {"from": "newest"})
    assert (again.status, again.headers["location"]) == (204, CURSOR)
    shown = (await service.get(CURSOR)).json
    assert set(shown) == {"name", "position", "lag", "created"}
    assert (shown["name"], shown["lag"]) == ("billing", 2)
    listed = (await service.get(CURSORS)).json
    assert listed == {"cursors": [shown], "links": []}


async def test_a_reader_reads_and_acknowledges(service: Service, cursor: str) -> None:
    await service.post_bodies("q", 1, 2, 3)
    first = (await service.get(f"{cursor}/messages?limit=2")).json
    assert [message["body"] for message in first["messages"]] == [1, 2]
    assert first["position"] == first["messages"][-1]["position"]
    assert set(first["messages"][0]) == {"id", "href", "ttl", "age", "body", "position"}
    ahead = (await service.get(f"{cursor}/messages?after={first['position']}")).json
    assert [message["body"] for message in ahead["messages"]] == [3]
    acked = await service.post(f"{cursor}/ack", {"position": first["position"]})
    assert (acked.status, acked.content) == (204, b"")
    rest = (await service.get(f"{cursor}/messages?detailed=true")).json
    assert [message["state"] for message in rest["messages"]] == ["ready"]
    assert rest["messages"][0]["position"] == ahead["position"]


async def test_everybody_is_shown_everything(service: Service, cursor: str) -> None:
    await service.post_bodies("q", 1, 2)
    claim_id = await service.claim("q", limit=1)
    read = (await service.get(f"{cursor}/messages")).json["messages"]
    assert [message["body"] for message in read] == [1, 2]
    assert read[0]["href"].endswith(f"?claim_id={claim_id}")


async def test_what_is_lost_is_said_and_the_reader_goes_on(
    service: Service, cursor: str
) -> None:
    ids = await service.post_bodies("q", 1, 2, 3)
    await service.delete(f"{QUEUE}/messages?ids={ids[0]},{ids[1]}")
    gone = await service.wait("GET", f"{cursor}/messages?wait=30")
    assert (gone.status, gone.json["title"], gone.json["code"], gone.json["lost"]) == (
        410,
        "Cursor too old",
        "cursor_too_old",
        2,
    )
    assert set(gone.json) == {"title", "description", "code", "oldest", "lost"}
    assert (
        await service.post(f"{cursor}/ack", {"position": gone.json["oldest"]})
    ).status == 204
    read = (await service.get(f"{cursor}/messages")).json["messages"]
    assert [message["body"] for message in read] == [3]


async def test_a_reader_waits(service: Service, cursor: str) -> None:
    waiting = asyncio.create_task(service.wait("GET", f"{cursor}/messages?wait=30"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await service.post_bodies("q", "hello")
    assert [message["body"] for message in (await waiting).json["messages"]] == ["hello"]


async def test_without_anything_new_the_position_stays(service: Service, cursor: str) -> None:
    before = (await service.get(cursor)).json["position"]
    read = await service.wait("GET", f"{cursor}/messages?wait=1")
    assert read.json == {"messages": [], "position": before}


async def test_messagepack_works(service: Service, cursor: str) -> None:
    await service.post_bodies("q", 1)
    packed = await service.get(f"{cursor}/messages", headers={"Accept": MSGPACK})
    assert packed.msgpack["messages"][0]["body"] == 1
    assert (await service.get(CURSORS, headers={"Accept": MSGPACK})).msgpack["cursors"]


async def test_pages_of_cursors_are_linked(service: Service) -> None:
    await service.put(QUEUE)
    for name in ("c", "a", "b"):
        await service.put(f"{CURSORS}/{name}")
    page = await service.get(f"{CURSORS}?limit=2")
    assert [cursor["name"] for cursor in page.json["cursors"]] == ["a", "b"]
    rest = await service.get(page.next_href)
    assert [cursor["name"] for cursor in rest.json["cursors"]] == ["c"]
    assert rest.json["links"] == []


async def test_a_deleted_cursor_is_gone(service: Service, cursor: str) -> None:
    for _ in range(2):
        assert (await service.delete(cursor)).status == 204
    for answer in (
        await service.get(cursor),
        await service.get(f"{cursor}/messages"),
        await service.post(f"{cursor}/ack", {"position": "0" * 36}),
    ):
        assert answer.error == NOT_FOUND
        assert answer.json["code"] == "cursor_not_found"


async def test_what_is_not_there_is_not_found(service: Service) -> None:
    assert (await service.put(CURSOR)).error == NOT_FOUND
    assert (await service.get(CURSORS)).json == {"cursors": [], "links": []}
    await service.put(QUEUE)
    assert (await service.put(CURSOR, {"from": "0" * 22})).error == NOT_FOUND
    for path in (f"{CURSORS}/", f"{CURSORS}//messages", f"{CURSOR}/"):
        assert (await service.get(path)).status == 404


REQUESTS = {
    f"PUT {CURSORS}/no%20name": (..., OUT_OF_RANGE),
    f"PUT {CURSORS}/{'x' * 65}": (..., OUT_OF_RANGE),
    f"PUT {CURSOR} 1": ({"from": 1}, BAD_BODY),
    f"PUT {CURSOR} 2": ({"form": "oldest"}, BAD_BODY),
    f"PUT {CURSOR} 3": ([], BAD_BODY),
    f"POST {CURSOR}/ack 1": ({}, BAD_BODY),
    f"POST {CURSOR}/ack 2": ({"position": None}, BAD_BODY),
    f"POST {CURSOR}/ack 3": ({"position": "0" * 36}, OUT_OF_RANGE),
    f"POST {CURSOR}/ack 4": ({"position": ""}, OUT_OF_RANGE),
    f"POST {CURSOR}/ack 5": (..., BAD_BODY),
    f"GET {CURSOR}/messages?limit=0": (..., OUT_OF_RANGE),
    f"GET {CURSOR}/messages?limit=21": (..., OUT_OF_RANGE),
    f"GET {CURSOR}/messages?wait=61": (..., OUT_OF_RANGE),
    f"GET {CURSOR}/messages?after=0": (..., OUT_OF_RANGE),
    f"GET {CURSORS}?limit=0": (..., OUT_OF_RANGE),
    f"GET {CURSORS}?limit=21": (..., OUT_OF_RANGE),
}


@pytest.mark.parametrize("request_", REQUESTS)
async def test_bad_input_is_refused_and_changes_nothing(
    service: Service, cursor: str, request_: str
) -> None:
    before = (await service.get(cursor)).json
    method, path, *_ = request_.split()
    document, error = REQUESTS[request_]
    answer = await service.call(method, path, document)
    assert answer.error == error
    assert (await service.get(cursor)).json == before


async def test_a_cursor_is_that_of_its_project(service: Service, cursor: str) -> None:
    stranger: dict[str, str | None] = {"X-Project-ID": "p2"}
    await service.put(QUEUE, headers=stranger)
    position = (await service.get(cursor)).json["position"]
    assert (await service.get(cursor, headers=stranger)).status == 404
    assert (await service.put(cursor, headers=stranger)).status == 201
    acked = await service.post(f"{cursor}/ack", {"position": position}, headers=stranger)
    assert acked.error == OUT_OF_RANGE
    assert (await service.delete(cursor, headers=stranger)).status == 204
    assert (await service.get(cursor)).status == 200
