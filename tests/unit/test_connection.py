"""Limits on request heads, on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from transport import connection
from transport.connection import Connection

GET = b"GET / HTTP/1.1\r\nHost: nusku\r\n\r\n"
LIMIT_S = 0.3


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
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
