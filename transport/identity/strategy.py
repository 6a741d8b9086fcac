"""What every way of proving who one is has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import falcon
import falcon.asgi

from queues.identity import Identity


class Strategy(ABC):
    """Finds out who sends a request, from its headers alone.

    SECURITY: identity headers that a client sends (`X-Roles`, `X-User-Id`, …) are believed by
    no strategy but `none`.

    `comes_first` says whether the proof comes before every other check of a request. With
    Zaqar's noauth the project is the last of the headers to be looked at.
    """

    comes_first: ClassVar[bool] = False

    @abstractmethod
    async def identify(self, req: falcon.asgi.Request) -> Identity:
        """Return who sends the request.

        Raises: falcon.HTTPUnauthorized with a challenge when nothing proves it;
        falcon.HTTPForbidden when `X-Project-ID` contradicts what was proved;
        falcon.HTTPServiceUnavailable, in bounded time, when whoever could tell is away.
        """


def presented_token(req: falcon.asgi.Request) -> str | None:
    """Return the token in `X-Auth-Token` or in `Authorization: Bearer`, if there is one."""
    token = req.headers_lower.get("x-auth-token")
    if token is not None:
        return token
    scheme, _, credentials = (req.headers_lower.get("authorization") or "").partition(" ")
    return credentials.strip() or None if scheme.lower() == "bearer" else None


def check_project(req: falcon.asgi.Request, identity: Identity) -> None:
    """Refuse an `X-Project-ID` that names another project than the one that was proved.

    Raises: falcon.HTTPForbidden.
    """
    claimed = req.headers_lower.get("x-project-id")
    if claimed is not None and claimed != identity.project:
        raise falcon.HTTPForbidden(
            title="Not authorized",
            description="X-Project-ID is not the project of the token.",
        )
