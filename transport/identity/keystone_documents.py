"""The documents of the Identity API v3 that logging in and validating need."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec


class Login(NamedTuple):
    """The credentials of this service, with names of domains."""

    user: str
    password: str
    user_domain: str
    project: str
    project_domain: str

    def __repr__(self) -> str:
        # SECURITY: a tuple would show the password.
        return f"Login({self.user!r} of {self.user_domain!r})"

    def document(self) -> bytes:
        """Return the body of the request for a token."""
        user = {
            "name": self.user,
            "domain": {"name": self.user_domain},
            "password": self.password,
        }
        project = {"name": self.project, "domain": {"name": self.project_domain}}
        identity = {"methods": ["password"], "password": {"user": user}}
        auth = {"identity": identity, "scope": {"project": project}}
        return json.dumps({"auth": auth}).encode()


class ShownToken(NamedTuple):
    """What Keystone shows of a token; `project` is None if it is not scoped to one.

    `roles` are in lower case.
    """

    user: str
    project: str | None
    roles: frozenset[str]
    expires_ms: int


class _Role(msgspec.Struct):
    name: str


class _Named(msgspec.Struct):
    id: str


class _Token(msgspec.Struct):
    user: _Named
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]
    project: _Named | None = None
    roles: list[_Role] = []


class _Shown(msgspec.Struct):
    token: _Token


_decode = msgspec.json.Decoder(_Shown).decode


def shown_token(document: bytes) -> ShownToken:
    """Read the answer to a login or to a validation.

    Raises: ValueError, without any of the document in its text.
    """
    try:
        token = _decode(document).token
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError("what it says of a token cannot be read") from None
    roles = frozenset(role.name.lower() for role in token.roles)
    project = token.project.id if token.project else None
    return ShownToken(token.user.id, project, roles, int(token.expires_at.timestamp() * 1000))
