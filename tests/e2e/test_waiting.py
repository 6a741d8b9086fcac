"""Waiting in one process for what happens in another one."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.conftest import Serve, Store
from tests.e2e.nusku import NuskuServer

QUEUE = "/v2/queues/q"

#: Enough for every process to have some that wait.
WAITERS = 12

#: How long a request may take to begin to wait.
SETTLE_S = 0.5

#: A store that can push has woken long before; one that cannot is asked every second.
SOON_S = 5.0


@pytest.fixture
def servers(serve: Serve, store: Store) -> list[NuskuServer]:
    return [serve(store.url, "--workers", "2") for _ in range(2)]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2 * WAITERS) as pool:
        yield pool


def call(server: NuskuServer, method: str, path: str) -> httpx.Response:
    with server.client() as client:
        return client.request(method, f"{QUEUE}/{path}", timeout=90)


def post(server: NuskuServer, *bodies: object, delay_s: int = 0) -> None:
    messages = [{"body": body, "ttl": 300, "delay": delay_s} for body in bodies]
    with server.client() as client:
        answer = client.post(f"{QUEUE}/messages", json={"messages": messages})
    assert answer.status_code == 201, answer.text


def waiting(
    pool: ThreadPoolExecutor, servers: list[NuskuServer], method: str, path: str
) -> list[Future[httpx.Response]]:
    """Let requests wait in all processes."""
    calls = [
        pool.submit(call, servers[number % len(servers)], method, path)
        for number in range(WAITERS)
    ]
    time.sleep(SETTLE_S)
    assert not any(answer.done() for answer in calls)
    return calls


def bodies(calls: list[Future[httpx.Response]]) -> list[object]:
    found = []
    for call_ in calls:
        answer = call_.result()
        assert answer.status_code in (200, 201), (answer.status_code, answer.text)
        found += [message["body"] for message in answer.json()["messages"]]
    return found


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "claims?limit=1&wait=60"), ("DELETE", "messages?pop=1&wait=60")],
    ids=["claim", "pop"],
)
def test_each_post_wakes_one_that_waits_in_any_process(
    servers: list[NuskuServer], pool: ThreadPoolExecutor, method: str, path: str
) -> None:
    calls = waiting(pool, servers, method, path)
    for number in range(WAITERS):
        began = time.monotonic()
        post(servers[number % 2], number)
        while sum(answer.done() for answer in calls) <= number:
            assert time.monotonic() < began + SOON_S, "nobody is woken"
            time.sleep(0.005)
    assert sorted(bodies(calls)) == list(range(WAITERS))  # type: ignore[type-var]


def test_one_post_wakes_all_that_list_in_any_process(
    servers: list[NuskuServer], pool: ThreadPoolExecutor
) -> None:
    calls = waiting(pool, servers, "GET", "messages?echo=true&wait=60")
    began = time.monotonic()
    post(servers[0], "hello")
    assert bodies(calls) == ["hello"] * WAITERS
    assert time.monotonic() < began + SOON_S


def test_a_post_of_many_feeds_all_that_wait(
    servers: list[NuskuServer], pool: ThreadPoolExecutor
) -> None:
    calls = waiting(pool, servers, "POST", "claims?limit=2&wait=60")
    began = time.monotonic()
    for first in range(0, 2 * WAITERS, 12):
        post(servers[0], *range(first, first + 12))
    assert sorted(bodies(calls)) == list(range(2 * WAITERS))  # type: ignore[type-var]
    assert time.monotonic() < began + SOON_S


def test_the_end_of_a_delay_wakes_who_waits(
    servers: list[NuskuServer], pool: ThreadPoolExecutor
) -> None:
    calls = waiting(pool, servers, "POST", "claims?limit=1&wait=60")
    began = time.monotonic()
    post(servers[0], *range(WAITERS), delay_s=2)
    assert sorted(bodies(calls)) == list(range(WAITERS))  # type: ignore[type-var]
    assert 2 <= time.monotonic() - began < 2 + SOON_S


def test_who_waits_in_a_process_that_is_killed_takes_nothing(
    servers: list[NuskuServer], pool: ThreadPoolExecutor
) -> None:
    calls = waiting(pool, servers[:1], "DELETE", "messages?pop=1&wait=60")
    servers[0].kill()
    for answer in calls:
        with pytest.raises(httpx.TransportError):
            answer.result()
    post(servers[1], "hello")
    found = call(servers[1], "DELETE", "messages?pop=1&wait=1").json()["messages"]
    assert [message["body"] for message in found] == ["hello"]


def test_who_waits_when_a_server_stops_is_answered_at_once(
    servers: list[NuskuServer], pool: ThreadPoolExecutor
) -> None:
    calls = waiting(pool, servers[:1], "POST", "claims?wait=60")
    began = time.monotonic()
    servers[0].signal(signal.SIGTERM)
    assert [answer.result().status_code for answer in calls] == [204] * WAITERS
    assert servers[0].wait() == 0
    assert time.monotonic() < began + SOON_S


def test_who_listens_when_a_server_stops_goes_on_at_another(servers: list[NuskuServer]) -> None:
    path, headers = f"{QUEUE}/messages?echo=true", {"Accept": "text/event-stream"}
    post(servers[0], "before")
    with servers[0].client() as client, client.stream("GET", path, headers=headers) as stream:
        lines = stream.iter_lines()
        event = [next(lines) for _ in range(3)]
        servers[0].signal(signal.SIGTERM)
        assert list(lines) == [], "the stream ends as it should"
    assert servers[0].wait() == 0
    post(servers[1], "after")
    again = {**headers, "Last-Event-ID": event[0].removeprefix("id: ")}
    with servers[1].client() as client, client.stream("GET", path, headers=again) as stream:
        lines = stream.iter_lines()
        found = [next(lines) for _ in range(3)]
    assert json.loads(found[1].removeprefix("data: "))["body"] == "after"
