"""Opens MongoDB drivers for tests, directly or through a line that can be watched and cut."""

from __future__ import annotations

import asyncio
import secrets
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import bson
import pytest

from storage_drivers.mongodb import Driver
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle
from tests.servers.mongodb import MongoServer, external_mongodb

_HEADER_BYTES = 16
#: Commands of the library, not of the driver.
_BACKGROUND = frozenset({"hello", "ismaster", "isMaster", "ping", "endSessions"})


class Line:
    """A TCP line to the server that shows each command and can be cut or held at one.

    A cut line stays dead, like that of a server process that was killed.
    """

    def __init__(self, server_port: int) -> None:
        self.commands: list[str] = []
        self.port = 0
        self._server_port = server_port
        self._cut_at: int | None = None
        self._answer_lost = False
        self._hold_at: str | None = None
        self._hold_after = 0
        self._dead = False
        self._writers: set[StreamWriter] = set()
        self.reached = asyncio.Event()
        self.released = asyncio.Event()

    def cut_at(self, number: int, *, answer_lost: bool) -> None:
        """Cut before the command of this number, or after it is done; forget earlier ones."""
        self.commands = []
        self._cut_at, self._answer_lost = number, answer_lost

    def hold(self, command: str, *, after: int = 0) -> None:
        """Hold one such command until `released` is set; `reached` tells it is there."""
        self._hold_at, self._hold_after = command, after

    async def serve(self) -> asyncio.Server:
        """Start to listen."""
        listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = listening.sockets[0].getsockname()[1]
        return listening

    def cut(self) -> None:
        """Cut the line for good."""
        self._dead = True
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, client: StreamReader, to_client: StreamWriter) -> None:
        self._writers.add(to_client)
        if self._dead:
            to_client.transport.abort()
            return
        server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._writers.add(to_server)
        try:
            while True:
                request = await _read_packet(client)
                cut = await self._watch(request)
                to_server.write(request)
                answer = await _read_packet(server)
                if cut:
                    self.cut()
                to_client.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._writers -= {to_client, to_server}
            to_client.close()
            to_server.close()

    async def _watch(self, request: bytes) -> bool:
        """Note the command; cut or hold the line; say whether to cut after the answer."""
        command = _command(request)
        if command is None:
            return False
        if len(self.commands) == self._cut_at and not self._answer_lost:
            self.cut()
            raise ConnectionAbortedError
        self.commands.append(command)
        if command == self._hold_at:
            await self._hold()
        return len(self.commands) - 1 == self._cut_at

    async def _hold(self) -> None:
        if self._hold_after:
            self._hold_after -= 1
            return
        self._hold_at = None
        self.reached.set()
        await self.released.wait()


async def _read_packet(reader: StreamReader) -> bytes:
    header = await reader.readexactly(_HEADER_BYTES)
    (length,) = struct.unpack_from("<i", header)
    return header + await reader.readexactly(length - _HEADER_BYTES)


def _command(packet: bytes) -> str | None:
    """Return "command collection" of an OP_MSG, or None if it is not one of the driver."""
    if struct.unpack_from("<i", packet, 12)[0] != 2013:
        return None
    (length,) = struct.unpack_from("<i", packet, 21)
    body = bson.decode(packet[21 : 21 + length])
    name, collection = next(iter(body.items()))
    return None if name in _BACKGROUND else f"{name} {collection}"


def fresh_url(server: MongoServer) -> str:
    """Return the URL of a database that nobody has used before."""
    return f"{server.url}/nusku_test_{secrets.token_hex(6)}"


def store_url(request: pytest.FixtureRequest) -> str:
    """Return such a URL on the MongoDB that the user provides, else on nx-27017."""
    base, _, options = (external_mongodb() or "").partition("?")
    if not base:
        return fresh_url(request.getfixturevalue("mongodb_server"))
    return f"{base.rstrip('/')}/nusku_test_{secrets.token_hex(6)}?{options}"


@asynccontextmanager
async def opened(url: str, *, timeout_ms: int = 10_000) -> AsyncIterator[Driver]:
    """Open the store within the block."""
    driver = Driver(url, timeout_ms=timeout_ms)
    try:
        await driver.open()
        yield driver
    finally:
        await driver.close()


@asynccontextmanager
async def orders(server: MongoServer) -> AsyncIterator[tuple[QueueHandle, str]]:
    """Open a fresh database and create the queue `orders`; give it and the URL."""
    url = fresh_url(server)
    async with opened(url) as driver:
        handle = QueueHandle(driver, MovableClock())
        await handle.create()
        yield handle, url


@asynccontextmanager
async def through_a_line(
    handle: QueueHandle, server: MongoServer, url: str, *, timeout_ms: int = 10_000
) -> AsyncIterator[tuple[QueueHandle, Line]]:
    """Use the queue from a second server process, whose line to the store is a `Line`."""
    line = Line(server.port)
    listening = await line.serve()
    try:
        async with opened(
            url.replace(str(server.port), str(line.port)), timeout_ms=timeout_ms
        ) as driver:
            line.commands.clear()
            yield handle.on(storage=driver), line
    finally:
        listening.close()
        line.cut()
