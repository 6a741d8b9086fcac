"""kill -9 of the server and of the store in the middle of load."""

from __future__ import annotations

import os
import signal

import httpx

from tests.e2e.conftest import Serve, Store
from tests.e2e.load import (
    assert_exactly_once_in_order,
    claim_of,
    everything,
    wait_for_more,
    writing,
)
from tests.e2e.nusku import NuskuServer, eventually

TIMEOUT_S = "1"


def _claim(client: httpx.Client, queue: str) -> None:
    """Claim a few messages; whether anybody hears of it does not matter."""
    client.post(f"/v2/queues/{queue}/claims?limit=5", json={"ttl": 60, "grace": 60})


def _bodies(server: NuskuServer, queue: str) -> list[dict[str, object]]:
    with server.client() as client:
        found = everything(client, queue, include_claimed="true")
    return [item["body"] for item in found]  # type: ignore[misc]


def _assert_none_claimed_for_ever(server: NuskuServer, queue: str) -> None:
    """Every claim that holds a message can be found and released, and then none is held."""
    with server.client() as client:
        held = everything(client, queue, include_claimed="true")
        claims = {claim for item in held if (claim := claim_of(item))}
        for claim in claims:
            shown = client.get(f"/v2/queues/{queue}/claims/{claim}")
            assert shown.status_code == 200
            assert shown.json()["ttl"] == 60
            assert client.delete(f"/v2/queues/{queue}/claims/{claim}").status_code == 204
        stats = client.get(f"/v2/queues/{queue}/stats").json()["messages"]
    assert claims, "the test is about claims, so there must have been some"
    assert (stats["claimed"], stats["total"]) == (0, len(held))


def test_a_killed_server_loses_nothing_acknowledged(serve: Serve, store: Store) -> None:
    server = serve(store.url)
    with writing(server, "q") as writers:
        for _ in range(2):
            wait_for_more(writers, 10)
            with server.client() as client:
                _claim(client, "q")
            wait_for_more(writers, 5)
            server.kill()
            server.start()
        wait_for_more(writers, 10)
    assert_exactly_once_in_order(_bodies(server, "q"), writers)
    _assert_none_claimed_for_ever(server, "q")


def test_a_killed_store_loses_nothing_acknowledged_and_nusku_recovers_by_itself(
    serve: Serve, mortal_store: Store
) -> None:
    assert mortal_store.server is not None
    server = serve(mortal_store.url, "--config", _impatient(mortal_store))
    with writing(server, "q") as writers, server.client() as client:
        wait_for_more(writers, 10)
        _claim(client, "q")
        wait_for_more(writers, 5)
        mortal_store.server.kill()
        _assert_unavailable_at_once(client)
        mortal_store.server.start()
        wait_for_more(writers, 10)
        pid = server.pid
    eventually(server.is_ready, within_s=10, what="healthy again")
    assert server.pid == pid
    assert 503 in set().union(*(writer.statuses for writer in writers))
    assert_exactly_once_in_order(_bodies(server, "q"), writers)
    _assert_none_claimed_for_ever(server, "q")


def _impatient(store: Store) -> str:
    assert store.server is not None
    file = store.server.folder / "nusku.toml"
    file.write_text(f"storage_timeout_s = {TIMEOUT_S}\n")
    return str(file)


def _assert_unavailable_at_once(client: httpx.Client) -> None:
    for method, path in (
        ("GET", "/v2/queues"),
        ("GET", "/v2/queues/q/messages"),
        ("POST", "/v2/queues/q/claims"),
        ("DELETE", "/v2/queues/q/messages?pop=1"),
    ):
        answer = client.request(method, path, timeout=3 * float(TIMEOUT_S))
        assert answer.status_code == 503, f"{method} {path}"
        assert int(answer.headers["Retry-After"]) >= 1


def test_a_server_that_starts_while_its_store_is_away_answers_503_until_it_is_back(
    serve: Serve, mortal_store: Store
) -> None:
    assert mortal_store.server is not None
    server = serve(mortal_store.url, "--config", _impatient(mortal_store))
    before = server.workers()
    mortal_store.server.kill()
    _kill_worker(before)
    eventually(lambda: _is_replaced(server, before), within_s=15, what="another worker")
    with server.client() as client:
        _assert_unavailable_at_once(client)
        mortal_store.server.start()
        eventually(server.is_ready, within_s=10, what="healthy again")
        assert client.put("/v2/queues/q").status_code == 201
    assert "Traceback" not in server.log


def _kill_worker(workers: list[int]) -> None:
    for pid in workers:
        os.kill(pid, signal.SIGKILL)


def _is_replaced(server: NuskuServer, before: list[int]) -> bool:
    if not set(server.workers()) - set(before):
        return False
    try:
        with server.client() as client:
            return client.get("/v2/queues", timeout=5).status_code == 503
    except httpx.TransportError:
        return False
