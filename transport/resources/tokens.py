"""`/v2/tokens` and below: application tokens."""

from __future__ import annotations

from typing import ClassVar

import falcon
import falcon.asgi

from queues.operations.tokens import TokenOperations
from transport import audit
from transport.grant_requests import GrantRequestReader
from transport.grant_responses import GrantResponseWriter
from transport.identity.application_tokens import ApplicationTokens


class _TokenResource:
    """What the resources of this file are made with."""

    def __init__(
        self,
        tokens: TokenOperations,
        signer: ApplicationTokens,
        requests: GrantRequestReader,
        responses: GrantResponseWriter,
    ) -> None:
        self._tokens = tokens
        self._signer = signer
        self._requests = requests
        self._responses = responses


class TokenCollection(_TokenResource):
    """`/v2/tokens`."""

    rules: ClassVar = {"POST": "tokens:create", "GET": "tokens:get_all"}

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Make a token that narrows what the caller may do."""
        self._signer.check_can_sign()
        wanted = await self._requests.token(req)
        identity = await self._tokens.create(req.context.caller.identity, wanted)
        token_id = self._responses.token(req, resp, identity, self._signer.sign(identity))
        audit.changed(req, "token.created", token_id)

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """List the live tokens of the project, without the secrets."""
        marker, limit = self._requests.page(req)
        identity = req.context.caller.identity
        entries, following = await self._tokens.list(identity, marker=marker, limit=limit)
        self._responses.entries(req, resp, "tokens", entries, following)


class TokenItem(_TokenResource):
    """`/v2/tokens/{token_id}`."""

    rules: ClassVar = {"DELETE": "tokens:delete"}

    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, token_id: str
    ) -> None:
        """Revoke a token and all that was made with it."""
        await self._tokens.revoke(req.context.caller.identity, token_id)
        audit.changed(req, "token.revoked", token_id)
        resp.status = falcon.HTTP_204
