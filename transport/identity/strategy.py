"""What every way of proving who one is has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

import falcon
import falcon.asgi

from queues.identity import Identity
from transport.headers import claimed_project


class Strategy(ABC):
    """Proves who sends a request, from its headers alone.

    SECURITY: identity headers that a client sends (`X-Roles`, `X-User-Id`, …) are believed
    by none; that is what the absence of a strategy does.
    """

    @abstractmethod
    async def identify(self, req: falcon.asgi.Request) -> Identity:
        """Return who sends the request.

        Raises: falcon.HTTPUnauthorized with a challenge when nothing proves it;
        falcon.HTTPForbidden when `X-Project-ID` contradicts what was proved;
        falcon.HTTPServiceUnavailable, in bounded time, when whoever could tell is away.
        """


def presented_token(req: falcon.asgi.Request) -> str | None:
    """Return the token in `X-Auth-Token` or in `Authorization: Bearer`, if there is one."""
    token = req.get_header("X-Auth-Token")
    if token is not None:
        return token
    scheme, _, credentials = (req.get_header("Authorization") or "").partition(" ")
    return credentials.strip() or None if scheme.lower() == "bearer" else None


def check_project(req: falcon.asgi.Request, identity: Identity) -> None:
    """Refuse an `X-Project-ID` that names another project than the one that was proved.

    Raises: falcon.HTTPForbidden; falcon.HTTPBadRequest when it is no UTF-8.
    """
    claimed = claimed_project(req)
    if claimed is not None and claimed != identity.project:
        raise falcon.HTTPForbidden(
            title="Not authorized",
            description="X-Project-ID is not the project of the token.",
        )
