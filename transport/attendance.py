"""Working for a client as long as it is there: who waits must not take a message with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeVar

import falcon
import falcon.asgi

from queues.operations.polls import Patience
from transport.bodies import receiver

T = TypeVar("T")
Scope = MutableMapping[str, Any]

#: Key in the scope of a request that may wait.
ATTENDED = "nusku.attended"
_HURRIED = "nusku.hurried"


class ClientGone(Exception):
    """The client closed the connection, so nobody will see an answer."""


def hurry(scope: Scope) -> bool:
    """Note that the request of that scope must not wait any more; say whether it does.

    For a connection that could not notice that its client leaves: the client has said that
    it sends nothing more, or has sent another request already.
    """
    scope[_HURRIED] = True
    return ATTENDED in scope


def must_hurry(req: falcon.asgi.Request) -> bool:
    """Say whether the request must not wait any more."""
    return _HURRIED in req.scope


async def until_left(req: falcon.asgi.Request) -> None:
    """Return when the client has closed the connection. The body is read, or lost."""
    receive = receiver(req)
    while (await receive())["type"] != "http.disconnect":
        pass


class Gate(Protocol):
    """What lets requests in. `req.context.admission` is the gate, and what it was asked."""

    async def still_admits(
        self, req: falcon.asgi.Request, resource: Any, name: str | None
    ) -> bool:
        """Say whether what let a request in still does."""


async def still_admitted(req: falcon.asgi.Request) -> bool:
    """Say whether the request would be let in now as well: its credential may have ended.

    Raises: StorageUnavailable, falcon.HTTPServiceUnavailable.
    """
    gate: Gate
    gate, resource, name = req.context.admission
    return await gate.still_admits(req, resource, name)


async def attended(
    req: falcon.asgi.Request, wait_s: float, work: Callable[[Patience], Awaitable[T]]
) -> T:
    """Return what `work` returns; it may wait, and is cancelled when the client leaves.

    The body must have been read, or is lost.

    SECURITY: whoever was let in may not be any more when there is something at last.

    Raises: ClientGone; HTTPUnauthorized when the credential has ended.
    """
    req.scope[ATTENDED] = True
    leaving = asyncio.create_task(until_left(req))

    admitted = False

    async def may_take() -> bool:
        nonlocal admitted
        admitted = await still_admitted(req)
        return admitted and not leaving.done()

    working = asyncio.ensure_future(work(Patience(0 if must_hurry(req) else wait_s, may_take)))
    try:
        await asyncio.wait({leaving, working}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
            raise ClientGone
        result = working.result()
        # NOTE: what somebody was allowed to take is theirs, as it may be gone by now.
        if not (admitted or await still_admitted(req)):
            raise falcon.HTTPUnauthorized(
                title="Unauthorized",
                description="What let this request in has expired or was revoked meanwhile.",
                challenges=['Bearer realm="nusku", error="invalid_token"'],
            )
        return result
    finally:
        leaving.cancel()
        working.cancel()
