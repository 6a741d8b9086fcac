"""Requests without a socket: to our application, on an instant store, and to the bare one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from bench import ceiling
from bench.pieces.exchange import scope
from bench.pieces.instant import instant_storage
from bench.requests import messages_document
from queues import ids
from queues.clock import SystemClock
from queues.config import Settings
from transport.composition import application

Request = Callable[[], Awaitable[None]]

_QUEUE = "/v2/queues/queue"
_MESSAGE = ids.message_id(1 << 50, ids.queue_tag("bench", "queue"))


class Case(NamedTuple):
    """A request, the status of its answer, and the bare request that it is compared with."""

    method: str
    path: str
    query: str
    body: bytes
    status: int
    ceiling: str


CASES: Mapping[str, Case] = {
    "post-1": Case(
        "POST", f"{_QUEUE}/messages", "", messages_document(1, 100), 201, "bare post"
    ),
    "post-10": Case(
        "POST", f"{_QUEUE}/messages", "", messages_document(10, 100), 201, "bare post"
    ),
    "claim-10": Case(
        "POST", f"{_QUEUE}/claims", "limit=10", b'{"ttl": 300, "grace": 60}', 201, "bare post"
    ),
    "list-10": Case("GET", f"{_QUEUE}/messages", "limit=10&echo=true", b"", 200, "bare get"),
    "get": Case("GET", f"{_QUEUE}/messages/{_MESSAGE}", "", b"", 200, "bare get"),
    "delete": Case("DELETE", f"{_QUEUE}/messages/{_MESSAGE}", "", b"", 204, "bare get"),
}

BARE: Mapping[str, Case] = {
    "bare post": Case("POST", ceiling.PATH, "", messages_document(1, 100), 201, ""),
    "bare get": Case("GET", ceiling.PATH, "", b"", 200, ""),
}


def requests() -> dict[str, Request]:
    """Return for each case what makes one request of it and checks the status."""
    storage, settings, clock = instant_storage(), Settings(), SystemClock()
    ours, bare = application(settings, storage, clock), ceiling.application()
    return {name: _request(ours, case) for name, case in CASES.items()} | {
        name: _request(bare, case) for name, case in BARE.items()
    }


def _request(app: Callable[..., Awaitable[None]], case: Case) -> Request:
    template = scope(case.method, case.path, case.query, case.body)
    event = {"type": "http.request", "body": case.body, "more_body": False}

    async def receive() -> dict[str, Any]:
        return event

    async def send(sent: dict[str, Any]) -> None:
        status = sent.get("status", case.status)
        if status != case.status:
            raise AssertionError(f"{case.method} {case.path}: {status}")

    async def request() -> None:
        await app(dict(template), receive, send)

    return request
