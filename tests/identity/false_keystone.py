"""A server that answers what a real Keystone cannot be made to, and counts the questions."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

Write = asyncio.StreamWriter
Behaviour = Callable[[Write, str], Awaitable[None]]

EXPIRES = "2099-01-01T00:00:00.000000Z"
TOKEN: dict[str, Any] = {
    "token": {
        "expires_at": EXPIRES,
        "user": {"id": "u1"},
        "project": {"id": "p1"},
        "roles": [{"name": "member"}],
    }
}


def answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def shown(document: object = TOKEN) -> bytes:
    return answer(200, json.dumps(document).encode())


def logged_in(document: object = TOKEN) -> bytes:
    return answer(201, json.dumps(document).encode(), "X-Subject-Token: our-own")


class FalseKeystone:
    """Answers a login with `login`, and a validation with what `validation` makes of it."""

    def __init__(self) -> None:
        self.url = ""
        self.login = logged_in()
        self.validation: bytes | Behaviour = shown()
        self.asked: Counter[str] = Counter()
        self.open = 0
        self.most_open = 0

    async def handle(self, reader: asyncio.StreamReader, writer: Write) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client gave up, as some tests want it to
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: Write) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method = head.split(" ", 1)[0]
        token = head.partition("X-Subject-Token: ")[2].partition("\r")[0]
        self.asked["login" if method == "POST" else token] += 1
        said = self.login if method == "POST" else self.validation
        if isinstance(said, bytes):
            writer.write(said)
            await writer.drain()
        else:
            await said(writer, token)


@asynccontextmanager
async def false_keystone(tls: ssl.SSLContext | None = None) -> AsyncIterator[FalseKeystone]:
    """Serve until the block ends."""
    keystone = FalseKeystone()
    server = await asyncio.start_server(keystone.handle, "127.0.0.1", 0, ssl=tls)
    origin = f"localhost:{server.sockets[0].getsockname()[1]}"
    keystone.url = f"{'https' if tls else 'http'}://{origin}/identity/v3"
    try:
        yield keystone
    finally:
        server.close()
