"""Whole requests through the application, without a socket and with a store that is instant.

What is left is our share of a request and Falcon's, from the scope to the last `send`.
"""

from __future__ import annotations

from typing import Any

import pytest
import uvloop
from pytest_benchmark.fixture import BenchmarkFixture

from bench.pieces.exchange import scope
from bench.pieces.instant import instant_storage
from bench.requests import messages_document
from queues import ids
from queues.clock import SystemClock
from queues.config import Settings
from queues.operations import Operations
from transport.app import create_app
from transport.middleware import Lifespan

#: Requests that one round makes, one after the other.
_REQUESTS = 100

_QUEUE = "/v2/queues/queue"
_MESSAGE = ids.message_id(1 << 50, ids.queue_tag("bench", "queue"))

_CASES = {
    "post-1": ("POST", f"{_QUEUE}/messages", "", messages_document(1, 100), 201),
    "post-10": ("POST", f"{_QUEUE}/messages", "", messages_document(10, 100), 201),
    "claim-10": ("POST", f"{_QUEUE}/claims", "limit=10", b'{"ttl": 300, "grace": 60}', 201),
    "list-10": ("GET", f"{_QUEUE}/messages", "limit=10&echo=true", b"", 200),
    "delete": ("DELETE", f"{_QUEUE}/messages/{_MESSAGE}", "", b"", 204),
}

pytestmark = pytest.mark.benchmark(group="application, 100 requests")


@pytest.mark.parametrize("case", list(_CASES))
def test_request(benchmark: BenchmarkFixture, loop: uvloop.Loop, case: str) -> None:
    method, path, query, body, status = _CASES[case]
    storage, settings, clock = instant_storage(), Settings(), SystemClock()
    operations = Operations(storage, settings.limits(), clock)
    lifespan = Lifespan(storage, clock, sweep_interval_s=1)
    app = create_app(operations, settings, lifespan)
    template = scope(method, path, query, body)
    event = {"type": "http.request", "body": body, "more_body": False}
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return event

    async def send(sent: dict[str, Any]) -> None:
        if "status" in sent:
            statuses.append(sent["status"])

    async def requests() -> None:
        for _ in range(_REQUESTS):
            await app(dict(template), receive, send)

    def run() -> None:
        loop.run_until_complete(requests())

    benchmark.pedantic(run, rounds=50, warmup_rounds=5)
    assert set(statuses) == {status}
