"""Requests and answers of Falcon without a socket."""

from __future__ import annotations

from typing import Any

import falcon.asgi
from falcon import testing

from queues.identity import Identity
from queues.model import Media
from transport import bodies
from transport.headers import Caller

HEADERS = {
    "Client-ID": "3381af92-2b9e-11e3-b191-71861300734c",
    "X-Project-ID": "bench",
    "Accept": "application/json",
    "Content-Type": "application/json",
}


def scope(method: str, path: str, query: str = "", body: bytes = b"") -> dict[str, Any]:
    """Return the scope of a request, as an ASGI server makes it."""
    headers = {**HEADERS, "Content-Length": str(len(body))} if body else HEADERS
    made: dict[str, Any] = testing.create_scope(
        path=path, query_string=query, method=method, headers=headers
    )
    # Falcon gives iterators, which serve one request only.
    pairs = [tuple(pair) for pair in made["headers"]]
    return {**made, "headers": pairs, bodies.ARRIVED: True}


def request(method: str, path: str, query: str = "", body: bytes = b"") -> falcon.asgi.Request:
    """Return a request whose body is still to be read, with what the middleware sets."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    received = scope(method, path, query, body)
    made = falcon.asgi.Request(received, bodies.hold_back(received, receive))
    made.context.media = Media.JSON
    made.context.caller = Caller("bench", HEADERS["Client-ID"], Identity("bench"))
    made.context.detailed = False
    return made
