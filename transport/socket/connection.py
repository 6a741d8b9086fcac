"""One connection that has become a WebSocket: how much it may hold, and for how long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

#: A client that takes nothing of what was sent for so long is given up.
TAKE_S = 30.0

#: What a frame holds beside its body: action, headers, tokens.
_ENVELOPE_BYTES = 65_536

_LIMIT = "nusku.max_frame_bytes"
_LOW_LIMIT = 262_144

# SECURITY: what is of interest below that names each connection with its query.
_log = logging.getLogger("nusku.socket.connection")
_log.setLevel(logging.WARNING)


def limit_frames(scope: MutableMapping[str, Any], max_document_bytes: int) -> None:
    """Let clients send what holds such a document. Called when the application starts.

    NOTE: uvicorn knows one limit from its own settings, and does not know ours; but it keeps
    the `state` of the lifespan.
    """
    scope.setdefault("state", {})[_LIMIT] = max_document_bytes + _ENVELOPE_BYTES


class SocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket whose client has to take what is sent.

    SECURITY: whoever takes nothing is not read any more either, as even a ping would leave an
    answer in memory; and is cut off after `TAKE_S`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Not connected yet."""
        super().__init__(*args, **kwargs)
        self.conn.max_message_size = self.app_state.get(_LIMIT, _LOW_LIMIT)
        # SECURITY: frames hold tokens.
        self.conn.debug = False
        self.logger = _log
        self._patience: asyncio.TimerHandle | None = None
        self._early = b""

    def data_received(self, data: bytes) -> None:
        """Parse; but keep what comes behind a handshake until that is answered."""
        if self.handshake_initiated and not self.handshake_complete:
            self._early += data
            self.transport.pause_reading()
        else:
            super().data_received(data)

    async def send(self, message: Any) -> None:
        """Send what the application has to say, one message at a time (ASGI)."""
        await super().send(message)
        if self._early and self.handshake_complete:
            early, self._early = self._early, b""
            self.transport.resume_reading()
            self.data_received(early)

    def pause_writing(self) -> None:
        """Begin to lose patience."""
        super().pause_writing()
        self.transport.pause_reading()
        self._patience = self.loop.call_later(TAKE_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Be patient again."""
        super().resume_writing()
        self._stop_waiting()
        if not (self.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """Return what the client has sent, one message at a time (ASGI)."""
        event = await super().receive()
        if not self.writable.is_set():
            self.transport.pause_reading()
        return event

    def keepalive_timeout(self) -> None:
        """Close; at once and without a word if there are words that were not taken."""
        super().keepalive_timeout()
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
