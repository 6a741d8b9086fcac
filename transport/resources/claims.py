"""`/v2/queues/{queue}/claims` and below."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import falcon
import falcon.asgi

from queues.operations.claims import ClaimOperations
from queues.operations.polls import LongPolls
from transport import headers
from transport.attendance import attended
from transport.requests import RequestReader
from transport.responses import ResponseWriter


class _ClaimResource:
    """What the resources of this file are made with."""

    def __init__(
        self, claims: ClaimOperations, requests: RequestReader, responses: ResponseWriter
    ) -> None:
        self._claims = claims
        self._requests = requests
        self._responses = responses


class ClaimCollection(_ClaimResource):
    """`/v2/queues/{queue}/claims`."""

    rules: ClassVar = {"POST": "claims:create"}

    def __init__(
        self,
        claims: ClaimOperations,
        polls: LongPolls,
        requests: RequestReader,
        responses: ResponseWriter,
    ) -> None:
        """Claim with `claims`, or with `polls` if it may take its time."""
        super().__init__(claims, requests, responses)
        self._polls = polls

    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Claim messages."""
        wait_s, project = self._requests.wait_s(req), req.context.caller.project
        wanted = await self._requests.claim(req)
        if wait_s:
            claiming = partial(self._polls.claim, project, queue, wanted)
            claim = await attended(req, wait_s, claiming)
        else:
            claim = await self._claims.create(project, queue, wanted)
        self._responses.claimed(req, resp, queue, claim)


class ClaimItem(_ClaimResource):
    """`/v2/queues/{queue}/claims/{claim_id}`."""

    rules: ClassVar = {
        "GET": "claims:get",
        "PATCH": "claims:update",
        "DELETE": "claims:delete",
    }

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, claim_id: str
    ) -> None:
        """Show the claim and its messages."""
        claim = await self._claims.get(req.context.caller.project, queue, claim_id)
        self._responses.claim(req, resp, queue, claim)

    async def on_patch(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, claim_id: str
    ) -> None:
        """Renew the claim."""
        key = headers.idempotency_key(req)
        lease = await self._requests.lease(req)
        await self._claims.renew(
            req.context.caller.project,
            queue,
            claim_id,
            ttl_s=lease.ttl_s,
            grace_s=lease.grace_s,
            idempotency_key=key,
        )
        resp.status = falcon.HTTP_204

    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, claim_id: str
    ) -> None:
        """Release the claim."""
        await self._claims.release(req.context.caller.project, queue, claim_id)
        resp.status = falcon.HTTP_204
