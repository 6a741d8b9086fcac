"""A client that listens to server-sent events, in process, and takes them when it wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from falcon import testing

from tests.transport.service import CALLER, Service


class Event(NamedTuple):
    """An event as a browser understands it."""

    id: str | None
    kind: str
    data: Any


class Listener:
    """One request for events. Use it as a context; leaving that closes the connection."""

    def __init__(
        self,
        service: Service,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        takes: int = 1000,
    ) -> None:
        """Take no more than so many pieces until told otherwise."""
        path, _, query = path.partition("?")
        sent = {**CALLER, "Accept": "text/event-stream", **(headers or {})}
        self._scope = testing.create_scope(path=path, query_string=query, headers=sent)
        self._app = service.conductor.app
        self._room = asyncio.Semaphore(takes)
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._left = asyncio.Event()
        self._lines: list[str] = []
        self._asked = False
        self.start: asyncio.Future[dict[str, Any]] = asyncio.Future()
        self.heartbeats = 0

    async def __aenter__(self) -> Listener:
        self._task = asyncio.create_task(self._app(self._scope, self._receive, self._send))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._left.set()
        self.take(1000)
        async with asyncio.timeout(5):
            await self._task

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.start.set_result(message)
            return
        await self._room.acquire()
        self._pieces.put_nowait(message.get("body", b""))
        if not message.get("more_body"):
            self._pieces.put_nowait(None)

    def take(self, pieces: int) -> None:
        """Take so many pieces more."""
        for _ in range(pieces):
            self._room.release()

    async def status(self) -> int:
        status: int = (await self.start)["status"]
        return status

    async def document(self) -> Any:
        """Return the document of an answer that is no stream."""
        return json.loads(await self._pieces.get() or b"")

    async def event(self) -> Event | None:
        """Return the next event, or None at the end of the stream."""
        while True:
            async with asyncio.timeout(10):
                line = await self._line()
            if line is None:
                return None
            if line.startswith(":"):
                self.heartbeats += 1
                assert await self._line() == ""
                continue
            return await self._rest(line)

    async def quiet(self, pieces: int) -> None:
        """Hear of nothing for so many pieces."""
        for _ in range(pieces):
            async with asyncio.timeout(10):
                assert await self._pieces.get() == b": \n\n"

    async def events(self, count: int) -> list[Event]:
        found = [await self.event() for _ in range(count)]
        assert all(found)
        return found  # type: ignore[return-value]

    async def _rest(self, line: str | None) -> Event:
        fields: dict[str, list[str]] = {}
        while line:
            name, _, value = line.partition(": ")
            fields.setdefault(name, []).append(value)
            line = await self._line()
        data = json.loads("\n".join(fields["data"]))
        return Event(*fields.get("id", [None]), *fields.get("event", ["message"]), data)

    async def _line(self) -> str | None:
        while not self._lines:
            piece = await self._pieces.get()
            if piece is None:
                return None
            # Each piece holds whole events, and the one kind of line ends.
            assert not piece or piece.endswith(b"\n\n")
            assert b"\r" not in piece
            self._lines += piece.decode().split("\n")[:-1]
        return self._lines.pop(0)
