"""The door: decides by what a request proves who sends it, and what that allows."""

from __future__ import annotations

import falcon
import falcon.asgi

from queues.identity import Identity
from queues.operations.shares import ShareOperations
from transport.identity.application_tokens import ApplicationTokens
from transport.identity.presented_urls import presented
from transport.identity.strategy import Strategy, check_project, presented_token

#: Headers that carry something to be proved.
_PROOFS = frozenset({b"url-signature", b"x-auth-token", b"authorization"})


class Door:
    """Tries what narrows most first: a signed URL, an application token, then the strategy."""

    def __init__(
        self, strategy: Strategy | None, tokens: ApplicationTokens, shares: ShareOperations
    ) -> None:
        """Ask `strategy` about whoever comes without a credential of ours.

        Without a strategy, such a request is believed.
        """
        self._strategy = strategy
        self.tokens = tokens
        self._shares = shares

    @property
    def is_closed(self) -> bool:
        """Say whether nobody is believed: there is a strategy."""
        return self._strategy is not None

    def asks(self, req: falcon.asgi.Request) -> bool:
        """Say whether a request has anything to prove.

        PERF: without a strategy most have not (bench/pieces/test_application.py).
        """
        if self._strategy is not None or "signature=" in req.query_string:
            return True
        # NOTE: in the scope they may be an iterator, which is at its end by now.
        return not _PROOFS.isdisjoint(req._asgi_headers)  # noqa: SLF001

    async def proved(self, req: falcon.asgi.Request) -> Identity | None:
        """Return whom a proof makes of the sender, before anything else is looked at.

        None when there is none, and no strategy that needs one.

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
        return await self._strategy.identify(req) if self._strategy else None
