"""Stands between a driver and its server, and can let connections die without a word."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Proxy:
    """Passes on what comes on `port`. Used as a context manager."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._passing: set[asyncio.Task[None]] = set()
        self._ends: list[asyncio.StreamWriter] = []
        self.port = 0

    async def __aenter__(self) -> Proxy:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        self.fall_silent()
        for end in self._ends:
            end.close()

    def fall_silent(self) -> None:
        """Pass on nothing more on the connections that there are; none is closed."""
        for passing in self._passing:
            passing.cancel()

    async def _accept(
        self, driver: asyncio.StreamReader, to_driver: asyncio.StreamWriter
    ) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._ends += [to_driver, to_server]
        for reader, writer in ((driver, to_server), (server, to_driver)):
            passing = asyncio.create_task(self._pass_on(reader, writer))
            self._passing.add(passing)
            passing.add_done_callback(self._passing.discard)

    @staticmethod
    async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()
