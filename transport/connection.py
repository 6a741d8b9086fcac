"""One HTTP/1.1 connection, with the limits on request heads that uvicorn does not set."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Request line and headers together may be this large.
MAX_HEAD_BYTES = 65_536

#: A request head must be complete this long after its first byte.
MAX_HEAD_S = 20.0

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """A connection that is given up when a head is too large, too slow, or never begins.

    SECURITY: otherwise one client could fill the memory with a header without end, or hold
    connections for ever without sending anything.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Not connected yet."""
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._head_bytes = 0
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request like for the ones after it."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._end_head()

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """Note that the head is complete."""
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Parse, then see whether this is still within the limits."""
        super().data_received(data)
        # PERF: most heads come in one piece, and cost nothing here.
        if self._in_head:
            self._continue_head(len(data))
        elif self._head_deadline is not None:
            self._end_head()

    def _continue_head(self, received_bytes: int) -> None:
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
