"""A WebSocket of the service in process, spoken to as Zaqar's clients do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
from falcon.errors import WebSocketDisconnected

from tests.transport.service import CALLER, Service

PATH = "/v2/websocket"


class Answered(NamedTuple):
    """A reply: its status and its body."""

    status: int
    body: Any


class Talk:
    """One socket. Headers of a caller go with each request, unless others are given."""

    def __init__(self, ws: Any, headers: dict[str, Any]) -> None:
        self._ws = ws
        self.headers = headers
        self.unheard: list[Any] = []

    async def ask(self, action: str, **body: Any) -> Answered:
        """Send a request as JSON and return the reply to it."""
        return await self.say({"action": action, "headers": self.headers, "body": body})

    async def send(self, document: object) -> None:
        """Send JSON, and do not wait for a reply."""
        await self._ws.send_text(json.dumps(document))

    async def say(self, document: object) -> Answered:
        await self.send(document)
        reply = await self.heard()
        return Answered(reply["headers"]["status"], reply["body"])

    async def ask_packed(self, action: str, **body: Any) -> Answered:
        """Send a request as MessagePack, and expect the reply in MessagePack."""
        document = {"action": action, "headers": self.headers, "body": body}
        await self._ws.send_data(msgspec.msgpack.encode(document))
        reply = msgspec.msgpack.decode(await self._ws.receive_data())
        return Answered(reply["headers"]["status"], reply["body"])

    async def heard(self) -> Any:
        """Return the next text frame."""
        async with asyncio.timeout(10):
            return json.loads(await self._ws.receive_text())

    async def heard_packed(self) -> Any:
        """Return the next binary frame."""
        async with asyncio.timeout(10):
            return msgspec.msgpack.decode(await self._ws.receive_data())

    async def send_text(self, text: str) -> None:
        await self._ws.send_text(text)

    async def send_data(self, data: bytes) -> None:
        await self._ws.send_data(data)

    async def closed(self) -> tuple[int, str]:
        """Wait until the server has closed the socket, and return code and reason.

        What comes before is `unheard`.
        """
        try:
            async with asyncio.timeout(10):
                while True:
                    self.unheard.append(await self._ws.receive_text())
        except WebSocketDisconnected:
            return self._ws.close_code, self._ws.close_reason


@asynccontextmanager
async def talking(
    service: Service,
    headers: dict[str, Any] | None = None,
    *,
    origin: str | None = None,
    handshake: dict[str, str] | None = None,
) -> AsyncIterator[Talk]:
    """Open a socket; each request has these headers, by default those of a caller."""
    sent = {**({"Origin": origin} if origin else {}), **(handshake or {})}
    async with service.conductor.simulate_ws(PATH, headers=sent, spec_version="2.3") as ws:
        yield Talk(ws, dict(CALLER) if headers is None else headers)
