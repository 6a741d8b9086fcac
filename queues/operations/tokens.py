"""What may happen with application tokens: give out, list and revoke them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import NamedTuple

from queues.authorization import Authorization
from queues.clock import Clock
from queues.errors import Forbidden, InvalidRequest
from queues.identity import PATTERN, Grant, Identity, rules_of
from queues.limits import Limits, check_range
from queues.model import CredentialKind
from queues.operations.credentials import CredentialRegister, Entry

_MAX_PATTERNS = 32
_MAX_LINEAGE = 8
_MAX_NAME_CHARS = 128


class TokenRequest(NamedTuple):
    """What a client wants a token for. None takes the default; no `client_id` means any."""

    operations: Sequence[str]
    queues: Sequence[str]
    ttl_s: int | None
    client_id: str | None
    name: str | None


class TokenOperations:
    """Give out, list and revoke application tokens."""

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        *,
        authorization: Authorization,
        register: CredentialRegister,
    ) -> None:
        """Let `authorization` say what a maker may hand on."""
        self._limits = limits
        self._clock = clock
        self._authorization = authorization
        self._register = register

    async def create(self, maker: Identity, request: TokenRequest) -> Identity:
        """Return whom a new token makes of its bearer: the maker, narrowed by a grant.

        It holds the user and roles of its maker, and allows what the request asks for. It
        can only narrow: its rules, queues, client id and expiry lie within what its maker
        may do now, and the policy is asked again at each use.

        Raises: InvalidRequest, Forbidden.
        """
        grant = self._grant(maker, request)
        document = {
            "name": request.name,
            "operations": sorted(request.operations),
            "queues": grant.queues,
            "client_id": grant.client_id,
        }
        await self._register.add(
            maker, CredentialKind.TOKEN, grant.id, document, expires_ms=grant.expires_ms
        )
        return maker._replace(grant=grant)

    async def list(
        self, identity: Identity, *, marker: str, limit: int
    ) -> tuple[Sequence[Entry], str | None]:
        """Return a page of live tokens, and the marker of the next page, if any.

        See CredentialRegister.list.
        """
        return await self._register.list(
            identity, CredentialKind.TOKEN, marker=marker, limit=limit
        )

    async def revoke(self, identity: Identity, token_id: str) -> None:
        """End a token and all that was made with it, at once and in every process.

        Raises: CredentialNotFound.
        """
        await self._register.revoke(identity, CredentialKind.TOKEN, token_id)

    def _grant(self, maker: Identity, request: TokenRequest) -> Grant:
        _check_patterns(request.queues)
        if request.name is not None and len(request.name) > _MAX_NAME_CHARS:
            raise InvalidRequest(f"name must not exceed {_MAX_NAME_CHARS} characters.")
        rules = rules_of(request.operations)
        if not rules:
            raise InvalidRequest("operations must name at least one operation.")
        for rule in sorted(rules):
            for pattern in request.queues:
                self._authorization.check(rule, maker, pattern)
        return Grant(
            lineage=(*_lineage(maker), secrets.token_hex(16)),
            rules=rules,
            queues=tuple(request.queues),
            expires_ms=self._expires_ms(maker, request.ttl_s),
            client_id=_client_id(maker, request.client_id),
        )

    def _expires_ms(self, maker: Identity, ttl_s: int | None) -> int:
        longest_s, now_ms = self._limits.max_token_ttl_s, self._clock.now_ms()
        if ttl_s is not None:
            check_range("ttl", ttl_s, 1, longest_s)
        expires_ms = (
            now_ms + (self._limits.default_token_ttl_s if ttl_s is None else ttl_s) * 1000
        )
        if maker.grant is None or expires_ms <= maker.grant.expires_ms:
            return expires_ms
        if ttl_s is not None:
            raise Forbidden("A token cannot outlive the token that it is made with.")
        return maker.grant.expires_ms


def _lineage(maker: Identity) -> tuple[str, ...]:
    lineage = maker.lineage
    if len(lineage) >= _MAX_LINEAGE:
        raise Forbidden(f"Tokens are made from tokens {_MAX_LINEAGE} times at the most.")
    return lineage


def _client_id(maker: Identity, wanted: str | None) -> str | None:
    fixed = maker.grant.client_id if maker.grant else None
    if fixed is not None and wanted not in (None, fixed):
        raise Forbidden("The token is bound to another client_id.")
    return fixed or wanted


def _check_patterns(patterns: Sequence[str]) -> None:
    if not 1 <= len(patterns) <= _MAX_PATTERNS:
        raise InvalidRequest(f"queues must hold 1 to {_MAX_PATTERNS} patterns.")
    for pattern in patterns:
        if not PATTERN.fullmatch(pattern):
            raise InvalidRequest(
                f"queues: '{pattern}' is no pattern; use letters, digits, _ - . and *."
            )
