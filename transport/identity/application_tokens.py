"""Application tokens: JSON Web Tokens that this service gives out and reads itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import falcon
import jwt

from queues.clock import Clock
from queues.errors import InvalidRequest
from queues.identity import Grant, Identity
from queues.operations.credentials import CredentialRegister

#: Stands in the header of our tokens, so that nobody takes another's for one, or one for
#: another's. Source of the idea: RFC 8725, section 3.11.
TYPE = "nusku+jwt"

_ALGORITHM = "HS256"
_ISSUER = "nusku"
_REMEMBERED = 10_000
_MAX_KEPT_CHARS = 512

# SECURITY: longer ones are verified at each use, so that nobody fills the memory with them.
_REMEMBERED_CHARS = 2048


class ApplicationTokens:
    """Signs with the first of the keys, and honours what any of them has signed."""

    def __init__(
        self, keys: Mapping[str, bytes], register: CredentialRegister, clock: Clock
    ) -> None:
        """Use `keys` by their ids; `register` knows which tokens are revoked."""
        self._keys = keys
        self._register = register
        self._clock = clock
        self._known: dict[str, Identity] = {}

    def check_can_sign(self) -> None:
        """Refuse to make tokens without a key to sign with.

        Raises: InvalidRequest naming the setting.
        """
        if not self._keys:
            raise InvalidRequest("This service has no key to sign tokens with (keys_file).")

    def sign(self, identity: Identity) -> str:
        """Return the token for an identity with a grant."""
        key_id, key = next(iter(self._keys.items()))
        headers = {"kid": key_id, "typ": TYPE}
        return jwt.encode(_claims(identity), key, algorithm=_ALGORITHM, headers=headers)

    def are_ours(self, token: str) -> bool:
        """Say whether the token claims to be an application token of this service."""
        return token in self._known or _type_of(token) == TYPE

    async def honour(self, token: str) -> Identity:
        """Return whom a token makes of its bearer.

        A token is verified once and then remembered, but asked for in the register at each
        use, so a revocation holds at once.

        Raises: falcon.HTTPUnauthorized, StorageUnavailable.
        """
        identity = self._known.get(token) or self._verify(token)
        grant = identity.grant
        if grant is None or grant.expires_ms <= self._clock.now_ms():
            self._known.pop(token, None)
            raise _unauthorized("The token has expired.")
        if await self._register.is_revoked(grant.lineage):
            self._known.pop(token, None)
            raise _unauthorized("The token was revoked.")
        return identity

    def _verify(self, token: str) -> Identity:
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            # NOTE: expiry is ours to check, in milliseconds and by our clock, at each use.
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                options={"verify_exp": False, "require": ["exp", "iss"]},
            )
        except (jwt.PyJWTError, KeyError, TypeError) as ex:
            raise _unauthorized("The token is not valid.") from ex
        identity = _identity(claims)
        if len(token) <= _REMEMBERED_CHARS:
            if len(self._known) >= _REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[token] = identity
        return identity


def _type_of(token: str) -> object:
    """Return what a token calls itself, whether or not the rest of it is well formed."""
    head = token.partition(".")[0]
    # PERF: all tokens of one key have the same head (bench/authentication.py). SECURITY: what
    # a stranger may put into memory is bounded.
    return _read_type(head) if len(head) <= _MAX_KEPT_CHARS else _type_in(head)


def _type_in(head: str) -> object:
    try:
        return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))).get("typ")
    except (ValueError, AttributeError, RecursionError):
        return None


_read_type = lru_cache(maxsize=1024)(_type_in)


def _claims(identity: Identity) -> dict[str, Any]:
    grant = identity.grant
    assert grant is not None, "only a narrowed identity is handed on"  # noqa: S101
    return {
        "iss": _ISSUER,
        "jti": grant.id,
        "exp": grant.expires_ms / 1000,
        "project": identity.project,
        "sub": identity.user or "",
        "roles": sorted(identity.roles),
        "lineage": grant.lineage,
        "rules": sorted(grant.rules),
        "queues": grant.queues,
        "client_id": grant.client_id,
    }


def _identity(claims: Mapping[str, Any]) -> Identity:
    """Return what `_claims` was made of. The signature says that nobody else made it."""
    grant = Grant(
        lineage=tuple(claims["lineage"]),
        rules=frozenset(claims["rules"]),
        queues=tuple(claims["queues"]),
        expires_ms=round(claims["exp"] * 1000),
        client_id=claims["client_id"],
    )
    roles = frozenset(claims["roles"])
    return Identity(claims["project"], claims["sub"] or None, roles, grant)


def _unauthorized(text: str) -> falcon.HTTPUnauthorized:
    return falcon.HTTPUnauthorized(
        title="Unauthorized",
        description=text,
        challenges=['Bearer realm="nusku", error="invalid_token"'],
    )
