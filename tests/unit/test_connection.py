"""Limits on request heads, on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from transport import connection
from transport.bodies import ARRIVED
from transport.connection import Connection

GET = b"GET / HTTP/1.1\r\nHost: nusku\r\n\r\n"
LAST = GET[:-2] + b"Connection: close\r\n\r\n"
LIMIT_S = 0.3


async def _app(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"arrived", str(ARRIVED in scope).encode())]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(connection, "MAX_HEAD_S", LIMIT_S)
    config = Config(
        _app, http=Connection, timeout_keep_alive=1, log_config=None, lifespan="off"
    )
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    assert not state.connections, "no connection is kept"


async def _say(port: int, *pieces: bytes, pause_s: float = 0) -> bytes:
    """Send the pieces, and return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(pause_s)
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_head_in_pieces_is_fine_while_it_is_quick(port: int) -> None:
    answers = await _say(port, GET[:7], GET[7:20], GET[20:], GET, pause_s=LIMIT_S / 10)
    assert answers.count(b"HTTP/1.1 204 ") == 2


async def test_the_time_of_a_head_does_not_count_for_the_next_one(port: int) -> None:
    pieces = (GET[:7], GET[7:]) * 4
    answers = await _say(port, *pieces, pause_s=LIMIT_S / 3)
    assert answers.count(b"HTTP/1.1 204 ") == 4


async def test_a_head_that_comes_too_slowly_is_given_up(port: int) -> None:
    began = asyncio.get_running_loop().time()
    assert await _say(port, GET[:7]) == b""
    assert LIMIT_S <= asyncio.get_running_loop().time() - began < LIMIT_S + 0.5


async def test_a_connection_on_which_nothing_comes_is_closed(port: int) -> None:
    began = asyncio.get_running_loop().time()
    assert await _say(port) == b""
    assert 1 <= asyncio.get_running_loop().time() - began < 1.5


async def test_a_head_may_be_large_but_not_too_large(port: int) -> None:
    line = b"X: " + b"a" * 1000 + b"\r\n"
    large, too_large = GET[:-2] + line * 50 + b"\r\n", GET[:-2] + line * 80
    assert (await _say(port, large)).startswith(b"HTTP/1.1 204 ")
    assert (await _say(port, too_large)).startswith(b"HTTP/1.1 431 ")


async def test_requests_ahead_in_the_same_piece_do_not_count_for_a_head(port: int) -> None:
    """A pipelining client that sends more than a head may have, cut inside of a head."""
    many = GET * (4 * connection.MAX_HEAD_BYTES // len(GET))
    answers = await _say(port, many + LAST[:7], LAST[7:])
    assert answers.count(b"HTTP/1.1 204 ") == len(many) // len(GET) + 1


async def test_the_time_of_a_head_ends_with_it_even_if_the_next_one_has_begun(
    port: int,
) -> None:
    pieces = (GET[:7], *[GET[7:] + GET[:7]] * 4, LAST[7:])
    answers = await _say(port, *pieces, pause_s=LIMIT_S / 3)
    assert answers.count(b"HTTP/1.1 204 ") == 5


@pytest.mark.parametrize("version", [b"", b" HTTP/0.9", b" HTTP/2.0"])
async def test_other_versions_of_http_are_refused(port: int, version: bytes) -> None:
    assert (await _say(port, b"GET /" + version + b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("to", [b"h2c", b"websocket", b"TLS/1.2"])
async def test_a_wish_to_upgrade_is_ignored_and_the_body_stays_a_body(
    port: int, to: bytes
) -> None:
    wish = b"Connection: Upgrade\r\nUpgrade: " + to + b"\r\n"
    head = b"POST / HTTP/1.1\r\n" + wish + b"Content-Length: %d\r\n\r\n" % len(GET)
    for pieces in ((head + GET + LAST,), (head, GET, LAST), (head[:20], head[20:], GET + LAST)):
        answers = await _say(port, *pieces, pause_s=0.02)
        assert answers.count(b"HTTP/1.1 204 ") == 2, "the body is no request of its own"
        assert answers.count(b"HTTP/1.1 ") == 2


async def test_any_number_of_wishes_to_upgrade_may_come_in_one_piece(port: int) -> None:
    wish = GET[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    answers = await _say(port, wish * 2000 + LAST)
    assert answers.count(b"HTTP/1.1 204 ") == 2001


async def test_nobody_gets_a_tunnel(port: int) -> None:
    answer = await _say(port, b"CONNECT nusku:80 HTTP/1.1\r\nHost: nusku:80\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_has_said_everything_still_gets_its_answers(port: int) -> None:
    for sent, answered in ((GET, 1), (GET * 3, 3), (GET[:-2], 0)):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(0.9):
            answers = await reader.read()
        assert answers.count(b"HTTP/1.1 204 ") == answered
        writer.close()
        await writer.wait_closed()


async def test_a_body_has_arrived_when_all_of_it_is_here_and_not_before(port: int) -> None:
    head = GET[:-2].replace(b"GET", b"POST") + b"Content-Length: 2\r\n\r\n"
    chunked = GET[:-2].replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n"
    for pieces, arrived in (
        ((GET + head + b"{}" + chunked + b"2\r\n{}\r\n0\r\n\r\n" + LAST,), [1, 1, 1, 1]),
        ((GET + head, b"{}" + LAST), [1, 0, 1]),
        ((GET + head + b"{", b"}" + LAST), [1, 0, 1]),
        ((GET + chunked + b"2\r\n{}\r\n", b"0\r\n\r\n" + LAST), [1, 0, 1]),
    ):
        answers = await _say(port, *pieces, pause_s=0.1)
        said = [line[9:] for line in answers.split(b"\r\n") if line.startswith(b"arrived: ")]
        assert said == [str(bool(one)).encode() for one in arrived], pieces
