"""WebSockets over real sockets: the handshake, frames, and clients that take nothing."""

from __future__ import annotations

import json
import logging
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
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
PING, PONG, TEXT, CLOSE = 0x9, 0xA, 0x1, 0x8


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


# -- the handshake ---------------------------------------------------------------------------


def test_a_conversation(live: LiveServer) -> None:
    with opened(live) as ws:
        assert ask(ws, "authenticate")["headers"] == {"status": 200}
        assert ask(ws, "subscription_create", queue_name="q")["headers"]["status"] == 201
        ws.send(request("message_post", queue_name="q", messages=[{"body": "hello"}]))
        frames = [json.loads(ws.recv(timeout=10)) for _ in range(2)]
        assert {each.get("body") for each in frames if "Message_Type" in each} == {"hello"}
        assert [each["headers"]["status"] for each in frames if "headers" in each] == [201]


def test_compression_is_offered_in_vain(live: LiveServer) -> None:
    with opened(live, compression="deflate") as ws:
        assert ws.response is not None
        assert "Sec-WebSocket-Extensions" not in ws.response.headers
        assert ask(ws, "queue_list")["headers"]["status"] == 200


def test_compressed_frames_are_refused(live: LiveServer) -> None:
    with RawSocket(live.address) as raw:
        raw.shake_hands(frame(TEXT, b"\xaa\x56\x2a", first=0xC0))
        opcode, payload = raw.received()
        assert (opcode, payload[:2]) == (CLOSE, struct.pack("!H", 1002))
        assert raw.is_closed()


def test_what_comes_in_one_piece_with_the_handshake_is_read(live: LiveServer) -> None:
    with RawConnection(live.address) as plain:
        plain.send_head("GET", "/v2/queues")
        assert plain.answer()[0] == 200
    with RawSocket(live.address) as raw:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in HANDSHAKE.items()]
        head = "\r\n".join([f"GET {PATH} HTTP/1.1", "host: test", *lines, "", ""]).encode()
        texts = [request("queue_list").encode(), request("authenticate").encode()]
        raw.send(head + b"".join(frame(TEXT, text) for text in texts))
        assert raw.answer()[0] == 101
        assert raw.heard()["request"]["action"] == "queue_list"
        assert raw.heard()["request"]["action"] == "authenticate"


def test_a_connection_becomes_a_websocket_after_other_requests(live: LiveServer) -> None:
    with RawSocket(live.address) as raw:
        for _ in range(2):
            raw.send_head("GET", "/v2/queues")
            assert raw.answer()[0] == 200
        raw.shake_hands()
        raw.say("authenticate")
        assert raw.heard()["headers"]["status"] == 200


def test_not_while_a_request_is_waiting_for_its_answer(live: LiveServer) -> None:
    with RawSocket(live.address) as raw:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in HANDSHAKE.items()]
        lines += [f"{name}: {value}" for name, value in CALLER.items()]
        heads = [
            "\r\n".join([f"GET {path} HTTP/1.1", "host: test", *headers, "", ""])
            for path, headers in (("/v2/queues", lines[4:]), (PATH, lines))
        ]
        raw.send("".join(heads).encode())
        assert [raw.answer()[0] for _ in range(2)] == [200, 426]
        raw.send_head("GET", "/v2/queues")
        assert raw.answer()[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "wish", "status"),
    [
        ("GET", "/v2/queues", "websocket", 200),
        ("GET", "/v2/websocket/", "websocket", 404),
        ("POST", PATH, "websocket", 405),
        ("GET", PATH, "h2c", 426),
    ],
)
def test_other_wishes_to_upgrade_are_ignored(
    live: LiveServer, method: str, path: str, wish: str, status: int
) -> None:
    with RawSocket(live.address) as raw:
        raw.send_head(method, path, **{**HANDSHAKE, "upgrade": wish})
        assert raw.answer()[0] == status
        raw.send_head("GET", "/v2/queues")
        assert raw.answer()[0] == 200


@pytest.mark.parametrize(
    "change",
    [
        {"sec_websocket_key": "short"},
        {"sec_websocket_version": "8"},
        {"content_length": "5"},
        {"transfer_encoding": "chunked"},
        {"cookie": "x" * 10_000},
        {f"x_{number}": "many" for number in range(200)},
    ],
)
def test_a_wrong_handshake_is_refused(live: LiveServer, change: dict[str, str]) -> None:
    with RawSocket(live.address) as raw:
        raw.send_head("GET", PATH, **{**HANDSHAKE, **change})
        assert raw.answer()[0] == 400
        assert raw.is_closed()


# -- frames ----------------------------------------------------------------------------------


def test_a_post_of_the_largest_size_fits_and_a_larger_one_says_so(live: LiveServer) -> None:
    with opened(live) as ws:
        for size, status in ((CAP_BYTES - 100, 201), (CAP_BYTES + 100, 400)):
            messages = [{"body": "x" * size}]
            posted = ask(ws, "message_post", queue_name="large", messages=messages)
            assert posted["headers"]["status"] == status, posted["body"]


@pytest.mark.parametrize("pieces", [1, 10])
def test_a_frame_that_is_too_large_ends_the_connection(live: LiveServer, pieces: int) -> None:
    with opened(live) as ws:
        piece = "x" * (2 * CAP_BYTES // pieces)
        with suppress(ConnectionClosed):  # the server may close before all is sent
            ws.send([piece] * pieces)
        assert closed(ws) == 1009


def test_a_message_may_come_in_pieces(live: LiveServer) -> None:
    with opened(live) as ws:
        text = request("message_post", queue_name="q", messages=[{"body": "é"}])
        ws.send([text[:20], text[20:21], text[21:]])
        assert json.loads(ws.recv(timeout=10))["headers"]["status"] == 201


def test_text_that_is_no_text_ends_the_connection(live: LiveServer) -> None:
    with RawSocket(live.address) as raw:
        raw.shake_hands(frame(TEXT, b"\xff\xfe"))
        opcode, payload = raw.received()
        assert (opcode, payload[:2]) == (CLOSE, struct.pack("!H", 1007))


def test_neither_tokens_nor_queries_are_logged(
    live: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "")
    with opened(live, f"{PATH}?token=hush") as ws:
        headers = {**CALLER, "X-Auth-Token": "hush"}
        ws.send(json.dumps({"action": "authenticate", "headers": headers, "body": {}}))
        ws.recv(timeout=10)
    from_server = [r.getMessage() for r in caplog.records if r.name != "websockets.client"]
    assert not [line for line in from_server if "hush" in line]


# -- alive or not ----------------------------------------------------------------------------


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[LiveServer]:
    """A server that waits for nobody long."""
    pings = {"ws_ping_interval": 0.2, "ws_ping_timeout": 0.5}
    server = LiveServer(tmp_path / "nusku.db", serving=pings)
    server.start()
    yield server
    server.stop()


def test_who_answers_pings_stays(impatient: LiveServer) -> None:
    with RawSocket(impatient.address) as raw:
        raw.shake_hands()
        for _ in range(5):
            opcode, payload = raw.received()
            assert opcode == PING
            raw.send(frame(PONG, payload))
        raw.send(frame(PING, b"are you there?"))
        assert (PONG, b"are you there?") in (raw.received(), raw.received())


def test_who_does_not_is_closed(impatient: LiveServer) -> None:
    with RawSocket(impatient.address) as raw:
        raw.shake_hands()
        opcode, _ = raw.received()
        assert opcode == PING
        opcode, payload = raw.received()
        assert (opcode, payload[:2]) == (CLOSE, struct.pack("!H", 1011))
        assert raw.is_closed()
    until(lambda: not impatient.connections, "the connection is kept")


def post(live: LiveServer, count: int, body: str) -> None:
    with RawConnection(live.address) as plain:
        for number in range(count):
            document = json.dumps({"messages": [{"body": f"{number} {body}"}]}).encode()
            size = str(len(document))
            plain.send_head("POST", "/v2/queues/q/messages", content_length=size)
            plain.send(document)
            assert plain.answer()[0] == 201


def test_a_slow_reader_gets_everything_in_order_and_costs_little_memory(
    tmp_path: Path,
) -> None:
    server = LiveServer(tmp_path / "nusku.db")
    server.start()
    try:
        with RawSocket(server.address) as raw:
            raw.shake_hands()
            raw.say("subscription_create", queue_name="q")
            assert raw.heard()["headers"]["status"] == 201
            post(server, 60, "x" * 200_000)
            assert buffered(server) < 1_000_000
            numbers = [raw.heard()["body"].partition(" ")[0] for _ in range(60)]
            assert numbers == [str(number) for number in range(60)]
    finally:
        server.stop()


def test_who_takes_nothing_is_cut_off(impatient: LiveServer) -> None:
    with RawSocket(impatient.address) as raw:
        raw.shake_hands()
        raw.say("subscription_create", queue_name="q")
        post(impatient, 60, "x" * 200_000)
        until(lambda: not any_socket(impatient), "the connection is kept")
        assert buffered(impatient) == 0


def any_socket(live: LiveServer) -> bool:
    return any(isinstance(each, connection.SocketConnection) for each in live.connections)


def test_who_asks_and_does_not_take_the_answers_is_not_read(live: LiveServer) -> None:
    for data in (frame(PING, os.urandom(125)), frame(TEXT, request("queue_list").encode())):
        with RawSocket(live.address) as raw:
            raw.shake_hands()
            raw.flood(data * 100)
            assert buffered(live) < 1_000_000


def test_who_is_gone_leaves_nothing_behind(live: LiveServer) -> None:
    with RawSocket(live.address) as raw:
        raw.shake_hands()
        raw.say("subscription_create", queue_name="q")
        assert raw.heard()["headers"]["status"] == 201
        raw.reset()
        until(lambda: not any_socket(live), "the connection is kept")
        live.settle()


def test_the_server_stops_though_somebody_takes_nothing(tmp_path: Path) -> None:
    server = LiveServer(tmp_path / "nusku.db")
    server.start()
    with RawSocket(server.address) as raw:
        raw.shake_hands()
        raw.say("subscription_create", queue_name="q")
        post(server, 60, "x" * 200_000)
        until(lambda: buffered(server), "everything was taken")
        server.stop()
