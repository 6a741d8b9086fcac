"""The door: decides by what a request proves who sends it, and what that allows."""

from __future__ import annotations

import falcon
import falcon.asgi

from queues.identity import Identity
from queues.operations.shares import ShareOperations
from transport.identity.application_tokens import ApplicationTokens
from transport.identity.presented_urls import presented
from transport.identity.strategy import Strategy, check_project, presented_token


class Door:
    """Tries what narrows most first: a signed URL, an application token, then the strategy."""

    def __init__(
        self, strategy: Strategy, tokens: ApplicationTokens, shares: ShareOperations
    ) -> None:
        """Ask `strategy` about whoever comes without a credential of ours."""
        self._strategy = strategy
        self.tokens = tokens
        self._shares = shares

    async def proved(self, req: falcon.asgi.Request) -> Identity | None:
        """Return whom a proof makes of the sender, before anything else is looked at.

        None when there is none, and the strategy does without.

        Raises: SignatureRefused, falcon.HTTPUnauthorized, falcon.HTTPForbidden,
        falcon.HTTPServiceUnavailable, StorageUnavailable.
        """
        signature = presented(req)
        if signature is not None:
            return await self._shares.honour(signature, req.method, req.path)
        token = presented_token(req)
        if token is not None and self.tokens.are_ours(token):
            identity = await self.tokens.honour(token)
            check_project(req, identity)
            return identity
        return await self.by_strategy(req) if self._strategy.comes_first else None

    async def by_strategy(self, req: falcon.asgi.Request) -> Identity:
        """Return who sends the request, as the strategy of the server says."""
        return await self._strategy.identify(req)
