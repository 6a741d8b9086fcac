"""Strategy `none`: whoever reaches the service is believed, as with Zaqar's noauth."""

from __future__ import annotations

from functools import lru_cache

import falcon.asgi

from queues.identity import Identity
from transport import headers


def believed(req: falcon.asgi.Request) -> Identity:
    """Return project, user and roles from `X-Project-ID`, `X-User-Id` and `X-Roles`.

    Raises: HTTPBadRequest with Zaqar's titles when the project is missing or malformed.
    """
    project = headers.project(req)
    return _identity(project, req.get_header("X-User-ID"), req.get_header("X-Roles"))


@lru_cache(maxsize=4096)
def _identity(project: str, user: str | None, roles: str | None) -> Identity:
    names = (role.strip().lower() for role in (roles or "").split(","))
    return Identity(project, user, frozenset(name for name in names if name))
