"""The documents of the Identity API v3 that logging in and validating need."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple

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
        """Return the body of the request for a token of our own project."""
        project = {"name": self.project, "domain": {"name": self.project_domain}}
        return self._scoped({"project": project})

    def trusted(self, trust_id: str) -> bytes:
        """Return the body of the request for a token of a trust."""
        return self._scoped({"OS-TRUST:trust": {"id": trust_id}})

    def _scoped(self, scope: Mapping[str, Any]) -> bytes:
        user = {
            "name": self.user,
            "domain": {"name": self.user_domain},
            "password": self.password,
        }
        identity = {"methods": ["password"], "password": {"user": user}}
        return json.dumps({"auth": {"identity": identity, "scope": scope}}).encode()


class ShownToken(NamedTuple):
    """What Keystone shows of a token; `project` is None if it is not scoped to one.

    `roles` are in lower case.
    """

    user: str
    project: str | None
    roles: frozenset[str]
    expires_ms: int


class Trustor(NamedTuple):
    """Who makes a trust: a user with roles in a project, all by their ids."""

    user: str
    project: str
    roles: Sequence[str]

    def trust(self, trustee: str, expires: datetime) -> bytes:
        """Return the body of the request that lets `trustee` act for them until then."""
        trust = {
            "trustor_user_id": self.user,
            "trustee_user_id": trustee,
            "project_id": self.project,
            "impersonation": True,
            "roles": [{"id": role} for role in self.roles],
            "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        return json.dumps({"trust": trust}).encode()


class _Role(msgspec.Struct):
    name: str
    id: str = ""


class _Named(msgspec.Struct):
    id: str


class _Token(msgspec.Struct):
    user: _Named
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]
    project: _Named | None = None
    roles: list[_Role] = []


class _Shown(msgspec.Struct):
    token: _Token


class _MadeTrust(msgspec.Struct):
    trust: _Named


_decode = msgspec.json.Decoder(_Shown).decode
_decode_trust = msgspec.json.Decoder(_MadeTrust).decode


def trustor(document: bytes) -> Trustor:
    """Read from the answer to a validation who could make a trust.

    Raises: ValueError, without any of the document in its text.
    """
    try:
        token = _decode(document).token
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError("what it says of a token cannot be read") from None
    if token.project is None:
        raise ValueError("the token is not scoped to a project")
    return Trustor(token.user.id, token.project.id, [role.id for role in token.roles])


def made_trust(document: bytes) -> str:
    """Read the id of a trust from the answer to its making.

    Raises: ValueError.
    """
    try:
        return _decode_trust(document).trust.id
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError("what it says of a trust cannot be read") from None


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
