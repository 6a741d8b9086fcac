"""One request on a connection, and its answer, as an ASGI application sees them."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

if TYPE_CHECKING:
    from transport.connection import Connection

#: Key in the scope of a request: for so many seconds its answer is to wait.
PAUSE_S = "nusku.pause_s"

#: So many answers of a process may wait at the same time; others leave at once.
MAX_PAUSED = 1000

App = Callable[[Any, Any, Any], Awaitable[None]]

_BODILESS = (204, 304)
_FAILED = b"Internal Server Error"
_FAILED_START = {
    "status": 500,
    "headers": [(b"content-type", b"text/plain"), (b"connection", b"close")],
}
_BAD_NAME = re.compile(rb'[\x00-\x20\x7f()<>@,;:\\"\[\]={}/?]|\A\Z')
_SENDABLE = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])

_log = logging.getLogger("nusku.server")

#: The answers that wait now.
_paused: set[Exchange] = set()


def paused() -> int:
    """Return how many answers of this process wait now."""
    return len(_paused)


class Exchange:
    """What uvicorn calls a cycle, with less to do for each request.

    An answer is sent whole, in one piece and with its length, unless the application says
    that there is more: then each piece is sent as it comes. While an answer waits
    (`PAUSE_S`), the connection takes no other request, and what waits is only a few hundred
    bytes: the application is done.
    """

    __slots__ = (
        "_connection",
        "_is_head",
        "_news",
        "_start",
        "_streams",
        "_timer",
        "_waiter",
        "body",
        "disconnected",
        "expects_continue",
        "is_answered",
        "keep_alive",
        "more_body",
        "response_complete",
        "scope",
        "task",
    )

    def __init__(
        self,
        connection: Connection,
        scope: dict[str, Any],
        *,
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        """Be ready to `run`; the connection adds the body as it comes."""
        self.scope: dict[str, Any] | None = scope
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        self.task: asyncio.Task[None] | None = None
        self.body = b""
        self.more_body = True
        self.disconnected = False
        self.is_answered = False
        self.response_complete = False
        self._connection = connection
        self._is_head = scope["method"] == "HEAD"
        self._news = False
        self._start: Any = None
        self._streams = False
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def run(self, app: App) -> None:
        """Let the application answer; if it does not, answer 500 and close."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception as ex:
            _log.error("the application failed", exc_info=ex)
        finally:
            # PERF: by hand, as a callback of the task takes another turn of the event loop.
            self._connection.tasks.discard(self.task)
            # PERF: the scope knows `receive`, and so this; without the circles, all of a
            # request is given back at once, and the garbage collector has nothing to find.
            self.scope = self.task = None
        if self._streams and not self.is_answered:
            # What was sent is no whole answer, and the client sees that.
            self._connection.transport.close()
        elif not (self.is_answered or self.disconnected):
            self._start = _FAILED_START
            self._answer(_FAILED, None)

    def wake(self) -> None:
        """Tell whoever waits in `receive` that there is something new."""
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def lost(self) -> None:
        """Note that the client is gone: nothing is sent any more, and nothing waits."""
        self.disconnected = not self.response_complete
        self._end_pause()
        self.wake()

    async def receive(self) -> dict[str, Any]:
        """Return what has come of the body, or that the client is gone (ASGI)."""
        connection = self._connection
        if self.expects_continue:
            self._ask_for_body()
        if not self.disconnected and not self.is_answered:
            connection.flow.resume_reading()
            await self._wait()
        if self.disconnected or self.is_answered:
            return {"type": "http.disconnect"}
        body, self.body = self.body, b""
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    def _ask_for_body(self) -> None:
        """Say that the body may come; not in the middle of an answer that has begun."""
        self.expects_continue = False
        transport = self._connection.transport
        if self._start is None and not transport.is_closing():
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _wait(self) -> None:
        if not self._news:
            self._waiter = self._connection.loop.create_future()
            await self._waiter
            self._waiter = None
        self._news = False

    async def send(self, message: dict[str, Any]) -> None:
        """Take the head of the answer, then its body, in pieces if it says so (ASGI).

        Waits while the client does not take what was sent before.

        Raises: RuntimeError for what is no answer, or not to be sent.
        """
        flow = self._connection.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        if message["type"] == "http.response.start" and self._start is None:
            self._start = message
        elif self._start is None or self.is_answered:
            raise RuntimeError("an answer is a head, then a body, once")
        elif self.disconnected:
            return
        elif self._streams or message.get("more_body"):
            self._stream(message.get("body", b""), is_last=not message.get("more_body"))
        else:
            self._answer(message.get("body", b""), (self.scope or {}).get(PAUSE_S))

    def _answer(self, body: bytes, pause_s: float | None) -> None:
        head = self._head(len(body))
        answer = head if self._is_head else head + body
        self.is_answered, self.body, self._start = True, b"", ()
        if pause_s is None or paused() >= MAX_PAUSED:
            self._leave(answer)
        else:
            _paused.add(self)
            self._timer = self._connection.loop.call_later(pause_s, self._leave, answer)

    def _stream(self, piece: bytes, *, is_last: bool) -> None:
        """Send a piece, the first one behind the head; an empty last one ends the answer."""
        head = b"" if self._streams else self._head(None)
        self._streams = True
        if self._takes_chunks():
            piece = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
            piece += b"0\r\n\r\n" if is_last else b""
        if is_last:
            self.is_answered, self.body, self._start = True, b"", ()
            self._leave(head + piece)
        else:
            self._connection.transport.write(head + piece)

    def _takes_chunks(self) -> bool:
        """Say if the client knows chunks; to others the end of the connection is the end."""
        return self.scope is not None and self.scope["http_version"] != "1.0"

    def _leave(self, answer: bytes) -> None:
        self._end_pause()
        self.response_complete = True
        self._connection.transport.write(answer)
        self._connection.answered(self)

    def _end_pause(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            _paused.discard(self)

    def _head(self, body_bytes: int | None) -> bytes:
        """Return status line and headers; None is for a body in pieces.

        SECURITY: whatever a header holds, it stays one line, or nothing is sent.
        """
        status, length_bytes, is_closing = self._start["status"], None, False
        headers = [*self._connection.server_state.default_headers, *self._start["headers"]]
        pieces = [STATUS_LINE[status]]
        for name, value in headers:
            if name == b"content-length":
                length_bytes = int(value)
            elif name == b"connection" and b"close" in value.lower():
                is_closing = True
            pieces += (_name(name), value, b"\r\n")
        pieces.append(
            self._own_headers(status, length_bytes, body_bytes, is_closing=is_closing)
        )
        head = b"".join(pieces)
        # PERF: once for all lines, not for each value.
        lines = 1 + len(headers) + pieces[-1].count(b"\n")
        if head.translate(None, _SENDABLE) != b"\r\n" * lines:
            raise RuntimeError("a header holds a control character")
        return head

    def _own_headers(
        self,
        status: int,
        length_bytes: int | None,
        body_bytes: int | None,
        *,
        is_closing: bool,
    ) -> bytes:
        """Return the rest of the head, which the application has not said."""
        own = b""
        if is_closing:
            self.keep_alive = False
        elif not self.keep_alive:
            own = b"connection: close\r\n"
        if body_bytes is None:
            own += b"transfer-encoding: chunked\r\n" if self._takes_chunks() else b""
        elif length_bytes is None:
            if status not in _BODILESS:
                own += b"content-length: %d\r\n" % body_bytes
        elif length_bytes != body_bytes and not self._is_head:
            raise RuntimeError("the length of an answer is not that of its body")
        return own + b"\r\n"


@lru_cache(maxsize=256)
def _name(name: bytes) -> bytes:
    """Return a header's name as it is sent."""
    if _BAD_NAME.search(name):
        raise RuntimeError("not the name of a header")
    return name + b": "
