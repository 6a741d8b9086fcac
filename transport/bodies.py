"""The body of a request: who may take it, how large it may be, and how long it may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import falcon.asgi

from queues.errors import InvalidRequest, MalformedBody

#: Key in the ASGI scope of a request of which the server has everything: nobody will wait.
ARRIVED = "nusku.arrived"

Receive = Callable[[], Awaitable[Any]]

_RECEIVE = "nusku.receive"
_NOTHING = {"type": "http.request", "body": b"", "more_body": False}


def hold_back(scope: Any, receive: Receive) -> Receive:
    """Keep the body for `BodyReader`, and return where Falcon finds none.

    Falcon by itself waits for a piece of the body before it looks at the request, however
    long that takes. So a request is refused by its head alone, and whoever reads the body
    says how long to wait.
    """
    scope[_RECEIVE] = receive
    return _nothing


def receiver(req: falcon.asgi.Request) -> Receive:
    """Return what the server has to say of the body, and of the client."""
    receive: Receive = req.scope[_RECEIVE]
    return receive


async def _nothing() -> Any:
    return _NOTHING


class BodyReader:
    """Reads bodies that were held back."""

    def __init__(self, timeout_s: float) -> None:
        """Wait no longer than `timeout_s` for the whole of a body."""
        self._timeout_s = timeout_s

    async def read(self, req: falcon.asgi.Request, cap_bytes: int) -> bytes:
        """Return the body, chunked or not.

        Raises: InvalidRequest for one above the cap, before the rest of it is read;
        MalformedBody for one that stops early or does not arrive in time.
        """
        if (req.content_length or 0) > cap_bytes:
            raise _too_large(req, cap_bytes)
        # PERF: a timer costs as much as all the rest of reading, and most bodies are here.
        if ARRIVED in req.scope:
            return await _read(req, cap_bytes)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await _read(req, cap_bytes)
        except TimeoutError as ex:
            req.context.close = True
            raise MalformedBody("The body did not arrive in time.") from ex


async def _read(req: falcon.asgi.Request, cap_bytes: int) -> bytes:
    receive, pieces, size, more = receiver(req), [], 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise MalformedBody("The body ended early.")
        piece, more = event.get("body", b""), event.get("more_body", False)
        pieces.append(piece)
        size += len(piece)
        if size > cap_bytes:
            raise _too_large(req, cap_bytes)
    return b"".join(pieces)


def _too_large(req: falcon.asgi.Request, cap_bytes: int) -> InvalidRequest:
    # The rest of the body is not read: the connection ends with the answer.
    req.context.close = True
    return InvalidRequest(f"The request body must not exceed {cap_bytes} bytes.")
