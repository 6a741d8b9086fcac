"""WebSockets against `nusku serve`: several processes, stops, crashes, and a real client."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.e2e.conftest import Serve, Store
from tests.e2e.nusku import CLIENT_ID, PROJECT, NuskuServer, eventually

HEADERS = {"Client-ID": CLIENT_ID, "X-Project-ID": PROJECT}


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/nusku.db"


@contextmanager
def opened(server: NuskuServer) -> Iterator[ClientConnection]:
    address = server.url.replace("http", "ws", 1) + "/v2/websocket"
    with connect(address, open_timeout=20, close_timeout=1) as ws:
        yield ws


def send(ws: ClientConnection, action: str, **body: Any) -> None:
    ws.send(json.dumps({"action": action, "headers": HEADERS, "body": body}))


def heard(ws: ClientConnection) -> Any:
    return json.loads(ws.recv(timeout=20))


def ask(ws: ClientConnection, action: str, **body: Any) -> Any:
    send(ws, action, **body)
    reply = heard(ws)
    assert reply["headers"]["status"] < 300, reply
    return reply["body"]


def post(server: NuskuServer, *bodies: object) -> None:
    with server.client() as client:
        document = {"messages": [{"body": body} for body in bodies]}
        assert client.post("/v2/queues/q/messages", json=document).status_code == 201


def test_a_post_in_one_process_is_pushed_by_another(serve: Serve, store: Store) -> None:
    here, there = (serve(store.url, "--workers", "2") for _ in range(2))
    with opened(here) as one, opened(there) as two:
        for ws in (one, two):
            ask(ws, "subscription_create", queue_name="q")
        for number in range(20):
            post((here, there)[number % 2], number)
        for ws in (one, two):
            assert [heard(ws)["body"] for _ in range(20)] == list(range(20))


def test_a_reader_that_reconnects_after_a_crash_misses_nothing(
    serve: Serve, store: Store
) -> None:
    server, other = serve(store.url, "--workers", "2"), serve(store.url)
    with opened(server) as ws:
        ask(ws, "subscription_create", queue_name="q", with_id=True)
        post(server, 1, 2)
        last = [heard(ws) for _ in range(2)][-1]
        server.kill()
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=20)
    post(other, 3)
    server.start()
    with opened(server) as ws:
        ask(ws, "subscription_create", queue_name="q", marker=last["id"])
        post(other, 4)
        assert [heard(ws)["body"] for _ in range(2)] == [3, 4]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_stops_answers_what_it_has_and_says_goodbye(
    serve: Serve, store_url: str, number: signal.Signals
) -> None:
    server = serve(store_url, "--workers", "2")
    with opened(server) as silent, opened(server) as listening, opened(server) as busy:
        ask(listening, "subscription_create", queue_name="q")
        for _ in range(200):
            send(busy, "message_post", queue_name="q", messages=[{"body": 1}])
        first = heard(busy)
        server.signal(number)
        replies = [first, *said_until_the_end(busy)]
        for ws in (silent, listening):
            said_until_the_end(ws)
        assert server.wait() == 0
    assert {reply["headers"]["status"] for reply in replies} == {201}
    acknowledged = [reply["body"]["message_ids"][0] for reply in replies]
    server.start()
    with server.client() as client:
        stats = client.get("/v2/queues/q/stats").json()
        assert stats["messages"]["total"] == len(acknowledged)
    assert "Traceback" not in server.log


def said_until_the_end(ws: ClientConnection) -> list[Any]:
    """Return what is said until the server restarts."""
    frames = []
    with suppress(ConnectionClosed):
        while True:
            frames.append(heard(ws))
    assert ws.close_code == 1012
    return frames


def test_a_worker_that_is_killed_takes_only_its_own_sockets_along(
    serve: Serve, store_url: str
) -> None:
    server = serve(store_url)
    with opened(server) as ws:
        ask(ws, "queue_create", queue_name="q")
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=20)
    eventually(server.is_ready, within_s=20, what="another worker answers")
    with opened(server) as ws:
        assert ask(ws, "queue_list") == {"queues": [{"name": "q"}]}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_unmodified_client_of_zaqar(serve: Serve, store_url: str) -> None:
    """Its transport authenticates, and matches replies by their order."""
    from zaqarclient import transport
    from zaqarclient.transport import errors, request

    server = serve(store_url)
    endpoint = server.url.replace("http", "ws", 1) + "/v2/websocket"
    options = {"os_auth_token": "of nobody", "os_project_id": PROJECT}
    conf = {"auth_opts": {"backend": "keystone", "options": options}}
    with transport.get_transport_for(endpoint, options=conf) as ws:

        def ask(action: str, **body: object) -> Any:
            wanted = request.Request(endpoint, action, content=json.dumps(body))
            return json.loads(ws.send(wanted).content)

        assert ask("queue_create", queue_name="q") == "Queue q created."
        ask("message_post", queue_name="q", messages=[{"body": {"n": 1}, "ttl": 60}])
        claim = ask("claim_create", queue_name="q", limit=1, ttl=60, grace=60)
        (message,) = claim["messages"]
        assert message["body"] == {"n": 1}
        which = {"message_id": message["id"], "claim_id": claim["claim_id"]}
        ask("message_delete", queue_name="q", **which)
        with pytest.raises(errors.ResourceNotFound):
            ask("message_get", queue_name="q", message_id=message["id"])
        with pytest.raises(errors.MalformedRequest):
            ask("queue_create", queue_name="no such name")
        ask("subscription_create", queue_name="q", ttl=10_000)
        post(server, "pushed")
        assert ws.recv()["body"] == "pushed"
