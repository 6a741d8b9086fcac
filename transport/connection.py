"""One HTTP/1 connection: request heads have limits, and one path makes it a WebSocket."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from transport.attendance import hurry
from transport.bodies import ARRIVED
from transport.exchange import Exchange
from transport.socket import handshake

#: Request line and headers together may be this large.
MAX_HEAD_BYTES = 65_536

#: A request head must be complete this long after its first byte.
MAX_HEAD_S = 20.0

_VERSIONS = ("1.1", "1.0")

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)

_ASGI = {"version": "3.0", "spec_version": "2.3"}


class Connection(HttpToolsProtocol):
    """A connection that is given up when a head is too large, too slow, or never begins.

    It stays with HTTP/1.0 and HTTP/1.1: other versions are refused, and upgrades are ignored,
    but for that to a WebSocket.

    SECURITY: otherwise one client could fill the memory with a header without end, or hold
    connections for ever without sending anything.

    PERF: requests are served by `Exchange`, and one timer serves the whole connection;
    uvicorn sets and cancels one for each request.
    """

    cycle: Exchange | None  # type: ignore[assignment]
    pipeline: deque[Exchange]  # type: ignore[assignment]
    scope: dict[str, Any]  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Not connected yet."""
        super().__init__(*args, **kwargs)
        self._serving: Exchange | None = None
        self._active_s = 0.0
        self._in_head = False
        self._shared_piece = False
        self._head_bytes = 0
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request like for the ones after it."""
        super().connection_made(transport)
        self._active_s = self.loop.time()
        self._look_again(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers, and tell what is being served."""
        self.connections.discard(self)
        self._unset_keepalive_if_required()
        self._end_head()
        for exchange in (self._serving, self.cycle):
            if exchange is not None:
                exchange.lost()
        self.pipeline.clear()
        self.flow.resume_writing()
        self.transport.close()
        # PERF: without circles, all is given back at once.
        self._serving = self.cycle = self.parser = None  # type: ignore[assignment]

    def eof_received(self) -> bool:  # type: ignore[override]
        """Stay to answer a client that only says it has no more requests.

        Uvicorn would close at once, after the request may have been carried out. But who
        leaves says the same: nobody waits on its behalf.
        """
        cycle = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False
        return not self._hurries()

    def data_received(self, data: bytes) -> None:
        """Parse, then see whether this is still within the limits."""
        self._active_s = self.loop.time()
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
                # Not while an earlier request is waiting for its answer.
                if self._serving is None and handshake.is_for_socket(
                    self.parser, self.url, self.headers
                ):
                    self._become_socket(bytes(data))
                    return
                self.parser.feed_data(self._head_without_upgrade())
            else:
                return

    def _become_socket(self, rest: bytes) -> None:
        """Hand the connection over, with its head and what came behind that."""
        self.connections.discard(self)
        self._unset_keepalive_if_required()
        if not handshake.hand_over(self, self._head(self.headers), rest):
            self.send_400_response("No WebSocket handshake.")

    def _head_without_upgrade(self) -> bytes:
        return self._head([header for header in self.headers if header[0] != b"upgrade"])

    def _head(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the head that was parsed, with these headers."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in headers]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._in_head = True
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, with its name in lower case."""
        name = name.lower()
        if name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note that the head is complete, and start to serve it.

        Raises: ValueError, which the parser makes an error of its own, for what is not served.
        """
        self._in_head = False
        self._end_head()
        parser = self.parser
        version, method = parser.get_http_version(), parser.get_method()
        if version not in _VERSIONS:
            raise ValueError("neither HTTP/1.0 nor HTTP/1.1")
        if parser.should_upgrade():
            if method == b"CONNECT":
                raise ValueError("no proxy")
            return
        exchange = Exchange(
            self,
            self._begin_scope(version, method.decode()),
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            expects_continue=self.expect_100_continue,
        )
        self.cycle = exchange
        if self._serving is None:
            self._serve(exchange)
        elif self._hurries():
            raise ValueError("another request while one waits")
        else:
            self.flow.pause_reading()
            self.pipeline.append(exchange)

    def _hurries(self) -> bool:
        """Let the request that is served not wait any more, and say whether it does already.

        For when nothing more will be read, so that the client could leave unseen.
        """
        serving = self._serving
        return serving is not None and serving.scope is not None and hurry(serving.scope)

    def _begin_scope(self, version: str, method: str) -> dict[str, Any]:
        raw_path, query = _split(self.url)
        path = raw_path.decode("ascii")
        self.scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            "headers": self.headers,
            "method": method,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
        }
        return self.scope

    def on_body(self, body: bytes) -> None:
        """Keep a piece of a body until it is asked for, unless the answer is known."""
        exchange = self.cycle
        if exchange is None or exchange.is_answered or self.parser.should_upgrade():
            return
        exchange.body = exchange.body + body if exchange.body else body
        if len(exchange.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        exchange.wake()

    def on_message_complete(self) -> None:
        """Note that the request is here, and what follows in the same piece is another one."""
        self._shared_piece = True
        exchange = self.cycle
        if exchange is None or self.parser.should_upgrade():
            return
        self.scope[ARRIVED] = True
        exchange.more_body = False
        exchange.wake()

    def _serve(self, exchange: Exchange) -> None:
        self._serving = exchange
        task = self.loop.create_task(exchange.run(self.app))
        exchange.task = task
        self.tasks.add(task)

    def answered(self, exchange: Exchange) -> None:
        """Go on after an answer: with the next request, or by waiting for one."""
        self.server_state.total_requests += 1
        self._serving = None
        if not exchange.keep_alive:
            self.transport.close()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._serve(self.pipeline.popleft())
        else:
            self._active_s = self.loop.time()

    def timeout_keep_alive_handler(self) -> None:
        """Close if nothing has happened for long enough, else look again in time."""
        idle_s = self.loop.time() - self._active_s
        if self._serving is not None or self._in_head:
            self._look_again(self.timeout_keep_alive)
        elif idle_s < self.timeout_keep_alive:
            self._look_again(self.timeout_keep_alive - idle_s)
        else:
            self.transport.close()

    def _look_again(self, after_s: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            after_s, self.timeout_keep_alive_handler
        )

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


def _split(url: bytes) -> tuple[bytes, bytes]:
    """Return path and query of what a request asks for.

    Raises: HttpParserError, UnicodeDecodeError.
    """
    # PERF: what is not a plain path is left to the parser.
    if url.startswith(b"/") and not url.startswith(b"//") and b"#" not in url and url.isascii():
        path, _, query = url.partition(b"?")
        return path, query
    parsed = httptools.parse_url(url)
    return parsed.path, parsed.query or b""
