"""Strategy `jwt`: a signed JSON Web Token (RFC 7519) of the operator's identity provider."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import falcon
import falcon.asgi
import jwt

from queues.clock import Clock
from queues.identity import Identity
from queues.limits import MAX_PROJECT_CHARS
from transport.identity.recent import Recent
from transport.identity.strategy import Strategy, check_project, presented_token
from transport.identity.verifying_keys import KeySource, KeysUnavailable

_REMEMBERED = 10_000
_MAX_TOKEN_CHARS = 8192
_RETRY_AFTER_S = 5
_REQUIRED = ["exp", "iss", "aud"]


class ClaimNames(NamedTuple):
    """Which claims tell project, user and roles; a dot leads into an object."""

    project: str
    user: str
    roles: str


class Verified(NamedTuple):
    """What a token proved, and until when. `keys` is the version of the keys used."""

    identity: Identity
    expires_ms: float
    keys: int


class JwtStrategy(Strategy):
    """Verifies each token once, and then remembers it until it expires or keys change."""

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str,
        audience: str,
        leeway_s: float,
        claims: ClaimNames,
        clock: Clock,
    ) -> None:
        """Trust tokens of `issuer` for `audience` that one of `keys` has signed."""
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._leeway_s = leeway_s
        self._claims = claims
        self._clock = clock
        # SECURITY: by digest, as tokens are secrets, and may be long.
        self._known: Recent[Verified] = Recent(_REMEMBERED)

    async def identify(self, req: falcon.asgi.Request) -> Identity:
        """See Strategy."""
        token = presented_token(req)
        if not token:
            raise _unauthorized("A token is required in X-Auth-Token or Authorization.", None)
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is None or not self._keys.are_still(known.keys):
            known = await self._verify(token)
            self._known.put(digest, known)
        if known.expires_ms <= self._clock.now_ms():
            raise _unauthorized("The token has expired.", "invalid_token")
        check_project(req, known.identity)
        return known.identity

    async def _verify(self, token: str) -> Verified:
        try:
            claims = await self._decode(token)
            identity = _identity(claims, self._claims)
            expires_ms = (int(claims["exp"]) + self._leeway_s) * 1000
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError) as ex:
            # NOTE: the library's texts name the check that failed and hold no part of a token.
            raise _unauthorized(f"The token is not valid: {ex}.", "invalid_token") from ex
        return Verified(identity, expires_ms, self._keys.version)

    async def _decode(self, token: str) -> dict[str, Any]:
        if len(token) > _MAX_TOKEN_CHARS:
            raise ValueError("it is too long")
        header = jwt.get_unverified_header(token)
        if "crit" in header:
            raise ValueError("it asks for what is not understood here (crit)")
        algorithm, key_id = header.get("alg"), header.get("kid")
        key = None
        if isinstance(algorithm, str) and isinstance(key_id, str | None):
            key = await self._find(key_id, algorithm)
        if key is None:
            raise ValueError("no key is known for its algorithm and key id")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[str(algorithm)],
            issuer=self._issuer,
            audience=self._audience,
            leeway=self._leeway_s,
            options={"require": _REQUIRED},
        )
        return claims

    async def _find(self, key_id: str | None, algorithm: str) -> Any:
        try:
            found = await self._keys.find(key_id, algorithm)
        except KeysUnavailable as ex:
            raise falcon.HTTPServiceUnavailable(
                title="Service temporarily unavailable",
                description="The keys that prove tokens cannot be had at the moment.",
                retry_after=_RETRY_AFTER_S,
            ) from ex
        return found.key if found else None


def _identity(claims: Mapping[str, Any], names: ClaimNames) -> Identity:
    project, user = _at(claims, names.project), _at(claims, names.user)
    if not isinstance(project, str) or not 0 < len(project) <= MAX_PROJECT_CHARS:
        raise ValueError(f"it names no project in its claim {names.project}")
    # NOTE: JSON can say half a character, which no store can write down.
    project.encode()
    if not isinstance(user, str | None):
        raise ValueError(f"its claim {names.user} is no string")
    return Identity(project, user, _roles(_at(claims, names.roles), names.roles))


def _roles(value: object, name: str) -> frozenset[str]:
    roles = value.split() if isinstance(value, str) else value
    if roles is None:
        return frozenset()
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise ValueError(f"its claim {name} is no list of strings")
    return frozenset(role.lower() for role in roles)


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """Return the claim of that very name, else the one that the dots lead to."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _unauthorized(text: str, error: str | None) -> falcon.HTTPUnauthorized:
    challenge = 'Bearer realm="nusku"' + (f', error="{error}"' if error else "")
    return falcon.HTTPUnauthorized(
        title="Unauthorized", description=text, challenges=[challenge]
    )
