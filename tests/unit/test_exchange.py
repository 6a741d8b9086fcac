"""Requests and answers between the parser and an application, on a real socket."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from transport.connection import Connection

GET = b"GET / HTTP/1.1\r\nHost: nusku\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: nusku\r\nContent-Length: 2\r\n\r\n{}"

App = Callable[[Any, Any, Any], Awaitable[None]]
Ask = Callable[..., Awaitable[bytes]]


class Seen(Connection):
    """A connection that notes the pieces that it writes."""

    pieces: list[bytes]

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.transport = Written(transport, self.pieces)  # type: ignore[assignment]


class Written:
    """A transport that notes what is written."""

    def __init__(self, transport: asyncio.Transport, pieces: list[bytes]) -> None:
        self._transport = transport
        self._pieces = pieces

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._pieces.append(data)
        self._transport.write(data)


@pytest.fixture
def pieces() -> list[bytes]:
    """Return the pieces that the server wrote."""
    return []


@pytest.fixture
async def ask(pieces: list[bytes]) -> AsyncIterator[Ask]:
    """Return how to send requests to an application, and to read until it closes."""
    loop, servers = asyncio.get_running_loop(), []

    async def sent(app: App, *requests: bytes) -> bytes:
        config = Config(app, timeout_keep_alive=1, log_config=None, lifespan="off")
        config.load()

        def connection() -> Connection:
            made = Seen(config=config, server_state=ServerState(), app_state={})
            made.pieces = pieces
            return made

        servers.append(await loop.create_server(connection, "127.0.0.1", 0))
        reader, writer = await asyncio.open_connection(*servers[-1].sockets[0].getsockname())
        for request in requests:
            writer.write(request)
        writer.write_eof()
        async with asyncio.timeout(5):
            answers = await reader.read()
        writer.close()
        return answers

    yield sent
    for server in servers:
        server.close()
        await server.wait_closed()


def answering(body: bytes = b"", status: int = 200, **headers: str) -> App:
    """Return an application that answers always the same."""
    given = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": given})
        await send({"type": "http.response.body", "body": body})

    return app


async def test_head_and_body_leave_in_one_piece(ask: Ask, pieces: list[bytes]) -> None:
    last = GET[:-2] + b"Connection: close\r\n\r\n"
    answer = await ask(answering(b"hello", x_name="value"), last)
    assert pieces == [answer]
    assert answer == (
        b"HTTP/1.1 200 OK\r\nx-name: value\r\n"
        b"connection: close\r\ncontent-length: 5\r\n\r\nhello"
    )


@pytest.mark.parametrize("status", [204, 304])
async def test_what_has_no_body_has_no_length(ask: Ask, status: int) -> None:
    assert b"content-length" not in await ask(answering(status=status), GET)


async def test_the_answer_to_head_has_a_length_but_no_body(ask: Ask) -> None:
    answer = await ask(answering(b"hello", content_length="5"), GET.replace(b"GET", b"HEAD"))
    assert b"content-length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "headers",
    [
        {"x_name": "a\r\nset-cookie: b"},
        {"x_name": "\r\n"},
        {"x_name": "a\nb"},
        {"x_name": "a\0"},
        {"x_name\r\nx": "a"},
        {"x name": "a"},
        {"x:": "a"},
        {"": "a"},
        {"content_length": "4"},
    ],
)
async def test_a_header_that_would_be_something_else_is_a_mistake_of_the_server(
    ask: Ask, headers: dict[str, str]
) -> None:
    answer = await ask(answering(b"hello", **headers), GET)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"hello" not in answer
    assert answer.count(b"connection: close") == 1


async def _raises(scope: Any, receive: Any, send: Any) -> None:
    raise LookupError("mistake")


async def _forgets_the_body(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.mark.parametrize("app", [_raises, _forgets_the_body])
async def test_an_application_without_a_whole_answer_has_failed(ask: Ask, app: App) -> None:
    answer = await ask(app, GET)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"\r\nconnection: close\r\n" in answer


async def test_a_second_answer_is_not_sent(ask: Ask, pieces: list[bytes]) -> None:
    async def twice(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            await answering(b"hello")(scope, receive, send)

    await ask(twice, GET)
    assert len(pieces) == 1


def streaming(*parts: bytes, last: bytes = b"") -> App:
    """Return an application that answers in pieces."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": last})

    return app


async def test_pieces_leave_one_by_one(ask: Ask, pieces: list[bytes]) -> None:
    answer = await ask(streaming(b"hello", b"", b"x" * 17, last=b"!"), GET)
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = [b"5\r\nhello\r\n", b"", b"11\r\n" + b"x" * 17 + b"\r\n", b"1\r\n!\r\n0\r\n\r\n"]
    assert pieces == [head + chunks[0], *chunks[1:]]
    assert answer == head + b"".join(chunks)


async def test_after_the_last_piece_comes_the_next_answer(ask: Ask) -> None:
    answers = await ask(streaming(b"hello"), GET, GET)
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert answers.count(b"\r\n0\r\n\r\n") == 2


async def test_who_knows_no_chunks_gets_the_pieces_and_the_end(ask: Ask) -> None:
    answer = await ask(streaming(b"hello ", b"world"), GET.replace(b"1.1", b"1.0"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"\r\nconnection: close" in head
    assert body == b"hello world"


@pytest.mark.parametrize("raises", [True, False])
async def test_a_stream_that_breaks_off_is_seen_to_break_off(ask: Ask, raises: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello", "more_body": True})
        if raises:
            raise LookupError("mistake")

    answer = await ask(app, GET, GET)
    assert answer.endswith(b"5\r\nhello\r\n")


async def test_no_more_is_sent_than_the_client_takes() -> None:
    sent = 0
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(500):
            await send({"type": "http.response.body", "body": b"x" * 2**20, "more_body": True})
            sent += 1
        ended.set_result(None)

    config = Config(app, log_config=None, lifespan="off")
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(config=config, server_state=ServerState(), app_state={}),
        "127.0.0.1",
        0,
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(GET)
    await reader.readline()
    await asyncio.sleep(0.3)
    assert sent < 50, "what the client does not take is kept in memory"
    writer.close()
    await asyncio.wait_for(ended, 10)  # what is sent to nobody is dropped
    server.close()
    await server.wait_closed()


async def test_an_answer_may_take_longer_than_a_connection_is_kept_without_requests(
    ask: Ask,
) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1.5)  # and the fixture keeps connections for a second
        await answering(b"hello")(scope, receive, send)

    assert (await ask(slow, GET)).endswith(b"hello")


async def test_requests_that_come_together_are_answered_one_after_the_other(ask: Ask) -> None:
    served: list[str] = []

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        served.append(scope["path"])
        await asyncio.sleep(0.02)
        served.append(scope["path"])
        await answering(scope["path"].encode())(scope, receive, send)

    answers = await ask(slow, *(GET.replace(b"/ ", b"/%d " % n) for n in range(4)))
    assert [part[:2] for part in answers.split(b"\r\n\r\n")[1:]] == [b"/0", b"/1", b"/2", b"/3"]
    assert served == [f"/{n}" for n in range(4) for _ in range(2)]


async def test_a_body_comes_once_and_then_the_wait_for_the_end_of_the_client(ask: Ask) -> None:
    events: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        events.append(await receive())
        await answering()(scope, receive, send)
        events.append(await receive())

    await ask(app, POST)
    assert events == [
        {"type": "http.request", "body": b"{}", "more_body": False},
        {"type": "http.disconnect"},
    ]


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        (b"/a?b=c?d", "/a", b"/a", b"b=c?d"),
        (b"/a%2fb%20c", "/a/b c", b"/a%2fb%20c", b""),
        (b"//a/b", "//a/b", b"//a/b", b""),
        (b"http://nusku/a?b", "/a", b"/a", b"b"),
        (b"/a#b", "/a", b"/a", b""),
        (b"/a?", "/a", b"/a", b""),
    ],
)
async def test_a_target_is_path_and_query(
    ask: Ask, target: bytes, path: str, raw_path: bytes, query: bytes
) -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await answering()(scope, receive, send)

    await ask(app, GET.replace(b"/ ", target + b" "))
    assert [(s["path"], s["raw_path"], s["query_string"]) for s in scopes] == [
        (path, raw_path, query)
    ]


async def test_a_request_leaves_nothing_for_the_garbage_collector(ask: Ask) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["held back"] = receive
        await receive()
        await answering(b"hello")(scope, receive, send)

    async def left(requests: int) -> int:
        gc.collect()
        await ask(app, *[POST] * requests)
        return gc.collect()

    gc.disable()
    try:
        few, many = await left(10), await left(200)
    finally:
        gc.enable()
    assert many - few < 190, "less than one object for each request"
