"""WebSockets of clients that are slow, silent, greedy or gone."""

from __future__ import annotations

import json
import logging
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.transport.live import LiveServer, RawConnection
from tests.transport.raw_sockets import (
    CLOSE,
    HANDSHAKE,
    PATH,
    PING,
    PONG,
    TEXT,
    RawSocket,
    buffered,
    frame,
    request,
    until,
)
from transport.socket import connection
from transport.socket.push import Push


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


def post(live: LiveServer, count: int, body: str, *, queue: str = "q") -> None:
    with RawConnection(live.address) as plain:
        for number in range(count):
            document = json.dumps({"messages": [{"body": f"{number} {body}"}]}).encode()
            size = str(len(document))
            plain.send_head("POST", f"/v2/queues/{queue}/messages", content_length=size)
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


def test_many_subscriptions_of_a_slow_reader_take_turns(
    live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_hand: list[object] = []

    async def send(push: Push, messages: Any) -> None:
        in_hand.append(push)
        assert len(in_hand) == 1, "two pages in memory"
        await real(push, messages)
        in_hand.remove(push)

    real = Push.send
    monkeypatch.setattr(Push, "send", send)
    with RawSocket(live.address) as raw:
        raw.shake_hands()
        for _ in range(10):
            raw.say("subscription_create", queue_name="turns")
            assert raw.heard()["headers"]["status"] == 201
        post(live, 10, "x" * 200_000, queue="turns")
        until(lambda: buffered(live), "everything was taken")
        heard = [raw.heard()["body"].partition(" ")[0] for _ in range(100)]
    assert sorted(heard) == sorted([str(number) for number in range(10)] * 10)


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


def test_who_leaves_at_any_moment_is_no_error(
    live: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in HANDSHAKE.items()]
    head = "\r\n".join([f"GET {PATH} HTTP/1.1", "host: test", *lines, "", ""]).encode()
    asked = frame(TEXT, request("queue_list").encode())
    for sent in (head, head + asked, head + asked * 50, head + frame(CLOSE, b"")):
        for _ in range(20):
            with RawSocket(live.address) as raw:
                raw.send(sent)
                raw.reset()
    until(lambda: not live.connections, "a connection is kept")
    live.settle()
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


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
