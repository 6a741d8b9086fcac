"""Strategy `none`: whoever reaches the service is believed, as with Zaqar's noauth."""

from __future__ import annotations

from functools import lru_cache

import falcon.asgi

from queues.identity import Identity
from transport import headers

_USUAL_CHARS = 512


def believed(req: falcon.asgi.Request) -> Identity:
    """Return project, user and roles from `X-Project-ID`, `X-User-Id` and `X-Roles`.

    Raises: HTTPBadRequest with Zaqar's titles when the project is missing or malformed.
    """
    project = headers.project(req)
    user, roles = headers.header(req, b"x-user-id"), headers.header(req, b"x-roles")
    # SECURITY: the headers may be of any length, but then nobody remembers them.
    usual = len(user or "") + len(roles or "") <= _USUAL_CHARS
    return (_known_identity if usual else _identity)(project, user, roles)


def _identity(project: str, user: str | None, roles: str | None) -> Identity:
    names = (role.strip().lower() for role in (roles or "").split(","))
    return Identity(project, user, frozenset(name for name in names if name))


_known_identity = lru_cache(maxsize=4096)(_identity)
