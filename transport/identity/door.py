"""The door: decides by what a request proves who sends it, and what that allows."""

from __future__ import annotations

import uuid

import falcon
import falcon.asgi

from queues.identity import Identity
from queues.operations.shares import ShareOperations
from transport.identity.application_tokens import ApplicationTokens
from transport.identity.presented_urls import presented
from transport.identity.strategy import Strategy, check_project, presented_token

_NAMESPACE = uuid.UUID("5f0c2f5e-6f5b-4d0e-9d55-6d3a3f1a7a55")


class Door:
    """Tries what narrows most first: a signed URL, an application token, then the strategy."""

    def __init__(
        self, strategy: Strategy, tokens: ApplicationTokens, shares: ShareOperations
    ) -> None:
        """Ask `strategy` about whoever comes without a credential of ours."""
        self._strategy = strategy
        self._tokens = tokens
        self._shares = shares

    @property
    def proof_comes_first(self) -> bool:
        """Whether the strategy looks at a request before anything else does."""
        return self._strategy.comes_first

    async def with_credential(self, req: falcon.asgi.Request) -> Identity | None:
        """Return whom a credential of ours makes of the sender, or None without one.

        Raises: SignatureRefused, falcon.HTTPUnauthorized, falcon.HTTPForbidden,
        StorageUnavailable.
        """
        signature = presented(req)
        if signature is not None:
            return await self._shares.honour(signature, req.method, req.path)
        token = presented_token(req)
        if token is None or not self._tokens.are_ours(token):
            return None
        identity = await self._tokens.honour(token)
        check_project(req, identity)
        return identity

    async def by_strategy(self, req: falcon.asgi.Request) -> Identity:
        """Return who sends the request, as the strategy of the server says."""
        return await self._strategy.identify(req)


def client_id_of(identity: Identity) -> str | None:
    """Return the client id that a credential stands for, if it does.

    A signed URL used by a program that cannot set headers acts as a client of its own.
    """
    grant = identity.grant
    if grant is None:
        return None
    if grant.client_id is None and grant.vouched:
        return str(uuid.uuid5(_NAMESPACE, grant.id))
    return grant.client_id
