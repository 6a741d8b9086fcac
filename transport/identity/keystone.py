"""Strategy `keystone`: whoever shows a token of OpenStack's identity service."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import falcon
import falcon.asgi

from queues.clock import Clock
from queues.errors import ConfigurationError
from queues.identity import Identity
from transport.identity.exchange import Site
from transport.identity.keystone_documents import Login, ShownToken
from transport.identity.keystone_service import KeystoneService, KeystoneUnavailable
from transport.identity.recent import Recent
from transport.identity.single_flight import SingleFlight
from transport.identity.strategy import Strategy, check_project, presented_token

#: What Keystone calls invalid is asked about again after this.
INVALID_MS = 10_000

_REMEMBERED = 10_000
_MAX_TOKEN_CHARS = 8_192
_UNAUTHORIZED = "The request you have made requires authentication."


class _Proof(NamedTuple):
    """What Keystone said of a token. Without an identity it is not for any project."""

    identity: Identity | None
    fresh_until_ms: int
    expires_ms: int


class KeystoneStrategy(Strategy):
    """Takes project, user and roles from what Keystone says of the token, and only there.

    A valid token is asked about once in `cache_s` seconds, however many requests come with
    it, and never works after it has expired. So a token revoked before its time works for
    `cache_s` seconds at the most.
    """

    def __init__(
        self,
        *,
        url: str,
        user: str,
        password: str,
        user_domain: str,
        project: str,
        project_domain: str,
        timeout_s: float,
        cache_s: float,
        clock: Clock,
        public_url: str = "",
    ) -> None:
        """Ask Keystone at `url`, and tell clients to log in at `public_url`.

        Raises: ConfigurationError.
        """
        site = keystone_site(url, timeout_s=timeout_s)
        login = Login(user, password, user_domain, project, project_domain)
        self._service = KeystoneService(site, login, clock, timeout_s=timeout_s)
        self._challenge = f'Keystone uri="{public_url or url}"'
        self._clock = clock
        self._cache_ms = int(cache_s * 1000)
        self._proofs: Recent[_Proof] = Recent(_REMEMBERED)
        # SECURITY: apart from the valid ones, which invented tokens would push out.
        self._invalid_until_ms: Recent[int] = Recent(_REMEMBERED)
        self._questions: SingleFlight[bytes, _Proof | None] = SingleFlight()

    async def identify(self, req: falcon.asgi.Request) -> Identity:
        """See Strategy."""
        token = presented_token(req)
        if token is None or not _is_plausible(token):
            raise self._unauthorized()
        identity = await self._identity(token)
        check_project(req, identity)
        return identity

    async def _identity(self, token: str) -> Identity:
        # SECURITY: nothing that a dump of the memory may show leads back to the token.
        key = hashlib.sha256(token.encode()).digest()
        proof = self._known(key)
        if proof is None and not self._is_known_to_be_invalid(key):
            proof = await self._ask(key, token)
        if proof is None or self._clock.now_ms() >= proof.expires_ms:
            raise self._unauthorized()
        if proof.identity is None:
            raise falcon.HTTPForbidden(
                title="Not authorized",
                description="The token is not scoped to a project.",
            )
        return proof.identity

    def _known(self, key: bytes) -> _Proof | None:
        """Return what is still true of a token; that it has expired stays true for ever."""
        proof = self._proofs.get(key)
        if proof is None:
            return None
        now_ms = self._clock.now_ms()
        return proof if now_ms < proof.fresh_until_ms or now_ms >= proof.expires_ms else None

    def _is_known_to_be_invalid(self, key: bytes) -> bool:
        return self._clock.now_ms() < (self._invalid_until_ms.get(key) or 0)

    async def _ask(self, key: bytes, token: str) -> _Proof | None:
        try:
            return await self._questions.join(key, lambda: self._validate(key, token))
        except KeystoneUnavailable as ex:
            raise falcon.HTTPServiceUnavailable(
                title="Service temporarily unavailable",
                description="Who sends the request cannot be found out now. "
                "Please retry it in a few seconds.",
                retry_after=ex.retry_after_s,
            ) from None

    async def _validate(self, key: bytes, token: str) -> _Proof | None:
        shown = await self._service.validate(token)
        now_ms = self._clock.now_ms()
        if shown is None:
            self._invalid_until_ms.put(key, now_ms + min(self._cache_ms, INVALID_MS))
            return None
        proof = _Proof(_identity_of(shown), now_ms + self._cache_ms, shown.expires_ms)
        self._proofs.put(key, proof)
        return proof

    def _unauthorized(self) -> falcon.HTTPUnauthorized:
        return falcon.HTTPUnauthorized(
            title="Unauthorized", description=_UNAUTHORIZED, challenges=[self._challenge]
        )


def keystone_site(url: str, *, timeout_s: float) -> Site:
    """Return where Keystone answers, with or without `/v3` in its address.

    Raises: ConfigurationError.
    """
    try:
        return Site(url.rstrip("/").removesuffix("/v3") + "/v3", timeout_s=timeout_s)
    except ConfigurationError as ex:
        raise ConfigurationError(f"keystone_url: {ex}") from None


def _is_plausible(token: str) -> bool:
    """Say whether it may be a token at all; others would not fit into a header."""
    return 0 < len(token) <= _MAX_TOKEN_CHARS and token.isascii() and token.isprintable()


def _identity_of(shown: ShownToken) -> Identity | None:
    return Identity(shown.project, shown.user, shown.roles) if shown.project else None
