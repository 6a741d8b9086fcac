"""WebSocket clients over real sockets: one that behaves, and one that does what it is told."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.transport.live import LiveServer, RawConnection
from tests.transport.service import CALLER
from transport.socket import connection

PATH = "/v2/websocket"
HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec_websocket_version": "13",
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
}
CAP_BYTES = 262_144
PING, PONG, CONT, TEXT, CLOSE = 0x9, 0xA, 0x0, 0x1, 0x8


@contextmanager
def opened(live: LiveServer, path: str = PATH, **options: Any) -> Iterator[ClientConnection]:
    host, port = live.address
    with connect(f"ws://{host}:{port}{path}", **options) as ws:
        yield ws


def request(action: str, **body: Any) -> str:
    return json.dumps({"action": action, "headers": CALLER, "body": body})


def ask(ws: ClientConnection, action: str, **body: Any) -> Any:
    ws.send(request(action, **body))
    return json.loads(ws.recv(timeout=10))


def closed(ws: ClientConnection) -> int:
    """Return the code with which the server closes."""
    try:
        while True:
            ws.recv(timeout=10)
    except ConnectionClosed as ex:
        return ex.rcvd.code if ex.rcvd else 1006


def frame(opcode: int, payload: bytes, *, first: int = 0x80) -> bytes:
    """Return a masked frame; `first` are the bits beside the opcode."""
    size = len(payload)
    length = (
        struct.pack("!B", 0x80 | size)
        if size < 126
        else struct.pack("!BH", 0x80 | 126, size)
        if size < 65_536
        else struct.pack("!BQ", 0x80 | 127, size)
    )
    return bytes([first | opcode]) + length + b"\0\0\0\0" + payload


class RawSocket(RawConnection):
    """A WebSocket client that sends what a test wants and reads when it is told to."""

    def shake_hands(self, behind: bytes = b"") -> None:
        self.send_head("GET", PATH, **HANDSHAKE)
        if behind:
            self.send(behind)
        assert self.answer()[0] == 101

    def received(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame."""
        first, size = self._reader.read(2)
        if size == 126:
            (size,) = struct.unpack("!H", self._reader.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._reader.read(8))
        return first & 0x0F, self._reader.read(size)

    def heard(self) -> Any:
        """Return the next text frame."""
        opcode, payload = self.received()
        assert opcode == TEXT
        return json.loads(payload)

    def say(self, action: str, **body: Any) -> None:
        self.send(frame(TEXT, request(action, **body).encode()))

    def flood(self, data: bytes) -> int:
        """Send the same until the server reads no more, and return how many bytes it took."""
        self._socket.settimeout(0.5)
        sent = 0
        try:
            while sent < 200_000_000:
                sent += self._socket.send(data)
        except TimeoutError:
            return sent
        pytest.fail("the server reads on and on")


def buffered(live: LiveServer) -> int:
    """Return how many bytes the server has ready for clients that do not take them."""
    return sum(
        each.transport.get_write_buffer_size()
        for each in list(live.connections)
        if isinstance(each, connection.SocketConnection)
    )


def until(condition: Any, what: str) -> None:
    deadline_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.01)
