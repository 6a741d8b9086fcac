"""WebSockets over real sockets: the handshake, and frames."""

from __future__ import annotations

import json
import logging
import struct
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from tests.transport.live import LiveServer, RawConnection
from tests.transport.raw_sockets import (
    CAP_BYTES,
    CLOSE,
    CONT,
    HANDSHAKE,
    PATH,
    PING,
    PONG,
    TEXT,
    RawSocket,
    ask,
    closed,
    frame,
    opened,
    request,
)
from tests.transport.service import CALLER
from transport.socket.connection import SocketConnection

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


@pytest.mark.parametrize("origin", ["http://[", "null", "", "http://test.evil.example", "test"])
def test_what_is_no_origin_of_this_host_is_refused(
    live: LiveServer, caplog: pytest.LogCaptureFixture, origin: str
) -> None:
    with RawSocket(live.address) as raw:
        raw.send_head("GET", PATH, **HANDSHAKE, origin=origin)
        assert raw.answer()[0] == 403
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


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


def test_a_message_in_any_number_of_pieces_costs_no_more_than_it_holds(
    live: LiveServer,
) -> None:
    text = request("queue_list").encode()
    with RawSocket(live.address) as raw:
        raw.shake_hands(frame(TEXT, text[:5], first=0))
        raw.send(frame(CONT, b"", first=0) * 100_000)
        raw.send(frame(PING, b"all was read"))
        assert raw.received() == (PONG, b"all was read")
        sockets = [one for one in live.connections if isinstance(one, SocketConnection)]
        assert max(len(each.frames) for each in sockets) < 2000
        raw.send(frame(CONT, text[5:]))
        assert raw.heard()["headers"]["status"] == 200


def test_text_that_is_no_text_ends_the_connection(
    live: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = frame(TEXT, b"\xff\xfe"), frame(TEXT, request("queue_list").encode())
    # Requests may be waiting for their turn when the bad one comes, or come behind it.
    for sent in (bad, good * 10 + bad, bad + good, bad + bad):
        with RawSocket(live.address) as raw:
            raw.shake_hands()
            raw.send(sent)
            opcode, payload = raw.received()
            assert (opcode, payload[:2]) == (CLOSE, struct.pack("!H", 1007))
            live.settle()
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


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
