"""SIGTERM and SIGINT: requests in flight finish, and nothing acknowledged is lost."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Serve, Store
from tests.e2e.load import (
    assert_exactly_once_in_order,
    everything,
    wait_for_more,
    writing,
)
from tests.e2e.nusku import CLIENT_ID, NuskuServer, eventually

BODY = b'{"messages": [{"body": "slow", "ttl": 300}]}'


def _connect(server: NuskuServer) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def _head(method: str, path: str, *more: str) -> bytes:
    lines = (
        f"{method} {path} HTTP/1.1",
        "Host: nusku",
        f"Client-ID: {CLIENT_ID}",
        "X-Project-ID: e2e",
        "Content-Type: application/json",
        *more,
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _read_all(connection: socket.socket) -> bytes:
    """Return what the server sends until it closes the connection."""
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_request_whose_body_is_still_arriving_gets_its_answer(
    serve: Serve, store_url: str, number: signal.Signals, workers: str
) -> None:
    server = serve(store_url, "--workers", workers)
    with _connect(server) as slow, _connect(server) as idle:
        idle.sendall(_head("GET", "/v2/queues"))
        assert _read_answer(idle).startswith(b"HTTP/1.1 200 ")
        slow.sendall(_head("POST", "/v2/queues/q/messages", f"Content-Length: {len(BODY)}"))
        slow.sendall(BODY[:10])
        server.signal(number)
        assert _read_all(idle) == b"", "an idle connection is closed"
        slow.sendall(BODY[10:])
        answer = _read_all(slow)
    assert answer.startswith(b"HTTP/1.1 201 "), answer
    assert b"connection: close" in answer.lower()
    assert server.wait() == 0
    server.start()
    with server.client() as client:
        assert len(everything(client, "q")) == 1


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/nusku.db"


def test_a_request_that_takes_longer_than_the_drain_time_is_cut_off(
    serve: Serve, store_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("config") / "nusku.toml"
    file.write_text("drain_timeout_s = 1\n")
    server = serve(store_url, "--config", str(file))
    with _connect(server) as endless:
        endless.sendall(_head("POST", "/v2/queues/q/messages", "Content-Length: 100"))
        endless.sendall(b"{")
        began = time.monotonic()
        assert server.stop() == 0
    assert 1 <= time.monotonic() - began < 5
    assert "cut off" in server.log
    assert "Traceback" not in server.log


def test_sigterm_under_load_loses_nothing(serve: Serve, store: Store) -> None:
    server = serve(store.url)
    with writing(server, "q", writers=4, tries=1) as writers:
        wait_for_more(writers, 10)
        code = server.stop()
    assert code == 0
    assert "Traceback" not in server.log
    assert all(writer.statuses == {201} for writer in writers)
    server.start()
    with server.client() as client:
        bodies = [item["body"] for item in everything(client, "q")]
    assert_exactly_once_in_order(bodies, writers)  # type: ignore[arg-type]


def test_a_client_with_an_open_connection_is_told_to_close_it(
    serve: Serve, store_url: str
) -> None:
    server = serve(store_url)
    with _connect(server) as calm:
        server.signal(signal.SIGTERM)
        answer = b""
        while b"connection: close" not in answer.lower():
            # Mostly idle, so without a farewell it would be closed in such a pause.
            time.sleep(0.05)
            calm.sendall(_head("GET", "/v2/queues"))
            answer = _read_answer(calm)
        assert answer.startswith(b"HTTP/1.1 200 "), "the last request was answered, too"
        assert calm.recv(1) == b""
    assert server.wait() == 0


def _read_answer(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65_536)
        assert chunk, "closed without an answer"
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def test_a_worker_that_dies_is_replaced(serve: Serve, store_url: str) -> None:
    server = serve(store_url, "--workers", "2")
    eventually(lambda: len(server.workers()) == 2, within_s=10, what="two workers")
    before = server.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: len(set(server.workers()) - set(before)) == 2, within_s=10, what="new workers"
    )
    eventually(server.is_ready, within_s=10, what="it answers again")
    assert server.stop() == 0


def test_workers_stop_when_their_master_is_killed(serve: Serve, store_url: str) -> None:
    server = serve(store_url)
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    eventually(lambda: not server.is_ready(), within_s=10, what="the port is free again")
    server.start()
    assert server.is_ready()


def test_a_head_without_end_is_refused(serve: Serve, store_url: str) -> None:
    server = serve(store_url)
    with _connect(server) as endless:
        endless.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 100_000)
        assert _read_all(endless).startswith(b"HTTP/1.1 431 ")
