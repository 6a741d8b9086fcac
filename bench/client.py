"""One HTTP/1.1 connection that sends finished bytes, one request at a time.

PERF: a load generator shares the machine with what it measures. Nothing is parsed but the
status and where the answer ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

Answered = Callable[[bytes], None]

_INCOMPLETE = -1


class LoadFailed(Exception):
    """The server did not do what the workload needs, so there is nothing to measure."""


class Client(asyncio.Protocol):
    """A connection with at most one request under way.

    `send` takes a request; its whole answer goes to `answered`.
    """

    def __init__(self) -> None:
        """Not connected yet."""
        self.send: Callable[[bytes], object] = _not_connected
        self.answered: Answered = _unexpected
        self.failed: Callable[[Exception], None] = _raise
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send from now on. NOTE: uvloop's transports are no `asyncio.Transport`."""
        self._transport = cast(asyncio.Transport, transport)
        self.send = self._transport.write

    def data_received(self, data: bytes) -> None:
        """Hand on an answer that is complete."""
        if self._received:
            data = self._received + data
        length = answer_bytes(data)
        if length == len(data):
            self._received = b""
            self.answered(data)
        elif length == _INCOMPLETE or length > len(data):
            self._received = data
        else:
            self.failed(LoadFailed(f"more than one answer: {data[length:][:200]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail, unless it was closed from here."""
        if self._transport is not None:
            self.failed(LoadFailed(f"the server closed a connection: {exc or 'no reason'}"))

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()


def answer_bytes(data: bytes) -> int:
    """Return the length of the answer that `data` begins with, -1 if its head is not complete.

    Raises: LoadFailed for an answer whose length is not in its head.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return _INCOMPLETE
    head = data[:end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        return end + 4 + int(head[at + 17 :].partition(b"\r\n")[0])
    if head[9:12] == b"204":
        return end + 4
    raise LoadFailed(f"an answer without a length: {head[:200]!r}")


def expect(answer: bytes, status: bytes) -> None:
    """Refuse an answer with another status. Raises: LoadFailed."""
    if answer[9:12] != status:
        raise LoadFailed(f"wanted {status.decode()}, got {answer[:400].decode('latin-1')!r}")


def _not_connected(request: bytes) -> None:
    raise LoadFailed("not connected")


def _unexpected(answer: bytes) -> None:
    raise LoadFailed(f"an answer that nobody waits for: {answer[:200]!r}")


def _raise(ex: Exception) -> None:
    raise ex
