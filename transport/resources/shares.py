"""`/v2/queues/{queue}/share` and `/v2/shares`: signed URLs."""

from __future__ import annotations

from typing import ClassVar

import falcon
import falcon.asgi

from queues.operations.shares import ShareOperations
from transport import audit
from transport.grant_requests import GrantRequestReader
from transport.grant_responses import GrantResponseWriter


class _ShareResource:
    """What the resources of this file are made with."""

    def __init__(
        self,
        shares: ShareOperations,
        requests: GrantRequestReader,
        responses: GrantResponseWriter,
    ) -> None:
        self._shares = shares
        self._requests = requests
        self._responses = responses


class QueueShare(_ShareResource):
    """`/v2/queues/{queue}/share`: Zaqar's form."""

    rules: ClassVar = {"POST": "queues:share"}

    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Sign URLs of the queue."""
        wanted = await self._requests.share(req)
        share = await self._shares.sign(req.context.caller.identity, queue, wanted)
        audit.changed(req, "share.created", share.id)
        self._responses.share(req, resp, share)


class ShareCollection(_ShareResource):
    """`/v2/shares`: URLs that need no headers, and all that was shared."""

    rules: ClassVar = {"POST": "queues:share", "GET": "shares:get_all"}

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Make URLs that open a queue by themselves."""
        queue, wanted = await self._requests.url_share(req)
        share = await self._shares.sign_url(req.context.caller.identity, queue, wanted)
        audit.changed(req, "share.created", share.id)
        self._responses.url_share(req, resp, share)

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """List the live shares of the project, without the signatures."""
        marker, limit = self._requests.page(req)
        identity = req.context.caller.identity
        entries, following = await self._shares.list(identity, marker=marker, limit=limit)
        self._responses.entries(req, resp, "shares", entries, following)


class ShareItem(_ShareResource):
    """`/v2/shares/{share_id}`."""

    rules: ClassVar = {"DELETE": "shares:delete"}

    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, share_id: str
    ) -> None:
        """Revoke a share."""
        await self._shares.revoke(req.context.caller.identity, share_id)
        audit.changed(req, "share.revoked", share_id)
        resp.status = falcon.HTTP_204
