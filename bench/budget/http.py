"""What HTTP makes the interpreter do: from the bytes of a request to those of its answer."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from bench.budget.interpreter import Counts, Request, counts
from bench.requests import Requests
from transport.connection import Connection

_REQUESTS = Requests("127.0.0.1:8888")

#: What an answer of the application has.
_HEADERS = [
    (b"x-openstack-request-id", b"req-12345678-1234-1234-1234-123456789012"),
    (b"content-type", b"application/json"),
    (b"content-length", b"2"),
]


def http_counts() -> dict[str, Counts]:
    """Return for a request with and without a body what it counts."""
    return {
        "post": counts(_request(_REQUESTS.post("queue", 1, 100))),
        "get": counts(_request(_REQUESTS.list("queue", 10))),
    }


def _request(data: bytes) -> Request:
    made: list[Connection] = []

    async def request() -> None:
        if not made:
            made.append(_connection())
        made[0].data_received(data)
        while made[0].tasks:  # noqa: ASYNC110 (a set tells nobody that it is empty)
            await asyncio.sleep(0)

    return request


def _connection() -> Connection:
    config = Config(_answer, proxy_headers=False, log_config=None, lifespan="off")
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Sun, 22 Nov 2026 20:55:54 GMT")]
    connection = Connection(config=config, server_state=state, app_state={})
    connection.connection_made(cast(asyncio.Transport, _Nowhere()))
    return connection


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b"{}"})


class _Nowhere:
    """A transport to nobody."""

    def write(self, data: bytes) -> None:
        """Drop what is sent."""

    def is_closing(self) -> bool:
        """Say that it stays open."""
        return False

    def get_extra_info(self, name: str) -> None:
        """Know nothing of the other end."""
