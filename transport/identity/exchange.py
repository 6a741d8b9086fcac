"""One HTTP exchange with another service, inside the event loop and in bounded time.

Each exchange has a connection of its own: exchanges are few, as their results are cached, and
a connection that is not kept cannot be found dead.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from queues.errors import ConfigurationError

#: An answer may not be longer: a token of a user with hundreds of roles has 50 KB.
MAX_BYTES = 1 << 20

_FAILURES = (
    OSError,
    EOFError,
    ValueError,
    http.client.HTTPException,
    asyncio.LimitOverrunError,
)
_PORTS = {"http": 80, "https": 443}


class Answer(NamedTuple):
    """Status, headers and body of an answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class NoAnswer(Exception):
    """The other service could not be reached, hung, or said what is not HTTP."""


class Site:
    """One origin and path under which a service answers."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """Prepare to talk to `url`, over TLS checked by the system's authorities if https.

        Raises: ConfigurationError.
        """
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
            raise ConfigurationError("an address must look like https://host:port/path")
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._authority = parts.netloc
        self._path = parts.path.rstrip("/")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._timeout_s = timeout_s

    async def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """Send one request to `path` below the address, and return the answer.

        Raises: NoAnswer, after the timeout at the latest.
        """
        request = self._head(method, path, headers, len(body)) + body
        try:
            async with asyncio.timeout(self._timeout_s):
                return _parse(await self._send(request))
        except TimeoutError:
            raise NoAnswer(f"no answer within {self._timeout_s:g} s") from None
        except _FAILURES as ex:
            raise NoAnswer(str(ex) or type(ex).__name__) from None

    def _head(self, method: str, path: str, headers: Mapping[str, str], length: int) -> bytes:
        lines = [
            f"{method} {self._path}{path} HTTP/1.1",
            f"Host: {self._authority}",
            "Connection: close",
            f"Content-Length: {length}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def _send(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(
            self._host, self._port, ssl=self._tls, limit=MAX_BYTES
        )
        try:
            writer.write(request)
            await writer.drain()
            return await _read(reader)
        finally:
            # NOTE: without waiting for the other side to agree: it may be hanging.
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return a whole answer: up to its Content-Length, or else up to the end of the stream."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _fields(head).get("Content-Length")
    if length is not None:
        return head + await reader.readexactly(min(int(length), MAX_BYTES))
    body = bytearray()
    while piece := await reader.read(1 << 16):
        body += piece
        if len(body) > MAX_BYTES:
            raise ValueError("the answer is too long")
    return head + bytes(body)


def _fields(head: bytes) -> http.client.HTTPMessage:
    return http.client.parse_headers(io.BytesIO(head.partition(b"\r\n")[2]))


class _Received:
    """What was received, in the one respect in which HTTPResponse knows a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _parse(data: bytes) -> Answer:
    response = http.client.HTTPResponse(_Received(data))  # type: ignore[arg-type]
    response.begin()
    return Answer(response.status, response.headers, response.read())
