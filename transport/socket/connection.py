"""One connection that has become a WebSocket, and how much it may leave in memory."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

#: What a frame holds beside its body: action, headers, tokens.
_ENVELOPE_BYTES = 65_536

#: What a client still sends after an error of its own is thrown away for so long.
_LINGER_S = 2.0

#: So many pieces of a message are kept apart.
_MAX_PIECES = 1000

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
    answer in memory. So its answers to our pings are not seen, and it is soon cut off.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Not connected yet."""
        super().__init__(*args, **kwargs)
        self.conn.max_message_size = self.app_state.get(_LIMIT, _LOW_LIMIT)
        # SECURITY: frames hold tokens.
        self.conn.debug = False
        self.logger = _log
        self._early = b""
        self._is_lingering = False

    def data_received(self, data: bytes) -> None:
        """Parse; but keep what comes behind a handshake until that is answered."""
        if self._is_lingering:
            return
        if self.handshake_initiated and not self.handshake_complete:
            self._early += data
            self.transport.pause_reading()
        else:
            super().data_received(data)

    async def send(self, message: Any) -> None:
        """Send what the application has to say, one message at a time (ASGI).

        Nothing more once the connection is being closed, which the application may not know.
        """
        await self.writable.wait()
        if self.close_sent:
            return
        await super().send(message)
        if self._early and self.handshake_complete:
            early, self._early = self._early, b""
            self.transport.resume_reading()
            self.data_received(early)

    async def receive(self) -> Any:
        """Return what the client has sent, one message at a time (ASGI)."""
        event = await super().receive()
        if not self.writable.is_set():
            self.transport.pause_reading()
        return event

    def handle_cont(self, event: Frame) -> None:
        """Take a further piece of a message.

        SECURITY: the limit is one of bytes, and there are pieces without any.
        """
        super().handle_cont(event)
        if len(self.frames) > _MAX_PIECES:
            self.frames = [b"".join(self.frames)]

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; text that is no UTF-8 closes, and is no error of the server."""
        self.frames = [b"".join(self.frames)]
        if self.close_sent or self.curr_msg_data_type != "text" or _is_text(self.frames[0]):
            super().send_receive_event_to_app()
        else:
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()

    def pause_writing(self) -> None:
        """Read no more of a client that does not take what is sent."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        super().resume_writing()
        if not (self.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()

    def handle_parser_exception(self) -> None:
        """Say what is wrong with a frame, and close when the client has had time to hear it.

        NOTE: closing with something unread resets the connection (RFC 1122, 4.2.2.13), which
        takes back what was said.
        """
        said = self.conn.close_sent
        if said is None or not self.transport.can_write_eof():
            super().handle_parser_exception()
            return
        event = {"type": "websocket.disconnect", "code": said.code, "reason": said.reason}
        self.queue.put_nowait(event)  # type: ignore[arg-type]
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self._is_lingering = True
        self.transport.write_eof()
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(_LINGER_S, self.transport.close)

    def keepalive_timeout(self) -> None:
        """Close; without a word if there are words already that were not taken."""
        super().keepalive_timeout()
        self._abort_if_stuck()

    def shutdown(self) -> None:
        """Close as the server stops."""
        super().shutdown()
        self._abort_if_stuck()

    def _abort_if_stuck(self) -> None:
        if not self.writable.is_set():
            self.transport.abort()


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
