"""One HTTP/1 connection: request heads have limits, and wishes to upgrade are ignored."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from transport.bodies import ARRIVED
from transport.joining import JoiningTransport

#: Request line and headers together may be this large.
MAX_HEAD_BYTES = 65_536

#: A request head must be complete this long after its first byte.
MAX_HEAD_S = 20.0

_VERSIONS = ("1.1", "1.0")

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """A connection that is given up when a head is too large, too slow, or never begins.

    It stays with HTTP/1.0 and HTTP/1.1: other versions are refused, upgrades are ignored.

    SECURITY: otherwise one client could fill the memory with a header without end, or hold
    connections for ever without sending anything.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Not connected yet."""
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._shared_piece = False
        self._head_bytes = 0
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request like for the ones after it."""
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, JoiningTransport(transport, self.loop))
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._end_head()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Stay to answer a client that only says it has no more requests.

        Uvicorn would close at once, after the request may have been carried out.
        """
        cycle = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        """Parse, then see whether this is still within the limits."""
        self._unset_keepalive_if_required()
        self._shared_piece = False
        try:
            self._parse(memoryview(data))
        except httptools.HttpParserError:
            text = "Invalid HTTP request received."
            self.logger.warning(text)
            self.send_400_response(text)
            return
        # PERF: most heads come in one piece, and cost nothing here.
        if self._in_head:
            self._continue_head(0 if self._shared_piece else len(data))

    def _parse(self, data: memoryview) -> None:
        """Feed the parser; a request to upgrade comes again without that wish.

        SECURITY: the parser takes the body of such a request for what follows the upgrade,
        and uvicorn, which does not upgrade, would take it for the next request. Common HTTP
        clients ask for HTTP/2 in this way with every first request, also with a post.
        """
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as ex:
                data = data[ex.args[0] :]
                self.parser.feed_data(self._head_without_upgrade())
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """Note that the head is complete, and start to serve it.

        Raises: ValueError, which the parser makes an error of its own, for what is not served.
        """
        self._in_head = False
        self._end_head()
        if self.parser.get_http_version() not in _VERSIONS:
            raise ValueError("neither HTTP/1.0 nor HTTP/1.1")
        if not self.parser.should_upgrade():
            super().on_headers_complete()
        elif self.parser.get_method() == b"CONNECT":
            raise ValueError("no proxy")

    def on_message_complete(self) -> None:
        """Note that the request is here, and what follows in the same piece is another one."""
        self._shared_piece = True
        if not self.parser.should_upgrade():
            self.scope[ARRIVED] = True  # type: ignore[literal-required]
            super().on_message_complete()

    def _continue_head(self, received_bytes: int) -> None:
        """Count a piece of a head that is not complete yet."""
        self._head_bytes += received_bytes
        if self._head_deadline is None:
            self._head_deadline = self.loop.call_later(MAX_HEAD_S, self.transport.close)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _end_head(self) -> None:
        self._head_bytes = 0
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None
