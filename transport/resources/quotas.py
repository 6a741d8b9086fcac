"""`/v2/quota`, what the caller's project may use, and `/v2/quotas`, for the operator."""

from __future__ import annotations

from typing import ClassVar

import falcon
import falcon.asgi

from queues.operations.quotas import Quotas
from transport import audit
from transport.grant_requests import GrantRequestReader
from transport.grant_responses import GrantResponseWriter


class _QuotaResource:
    """What the resources of this file are made with."""

    def __init__(
        self, quotas: Quotas, requests: GrantRequestReader, responses: GrantResponseWriter
    ) -> None:
        self._quotas = quotas
        self._requests = requests
        self._responses = responses


class OwnQuota(_QuotaResource):
    """`/v2/quota`."""

    rules: ClassVar = {"GET": "quotas:get_own"}

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show the limits of the caller's project, and what it uses."""
        project = req.context.caller.project
        limits, usage = await self._quotas.describe(project)
        self._responses.quota(req, resp, project, limits, usage)


class QuotaCollection(_QuotaResource):
    """`/v2/quotas`; the project is a parameter, as its name may hold any character."""

    # NOTE: else an operator could lock himself out.
    limited: ClassVar = False
    rules: ClassVar = {
        "GET": "quotas:get",
        "PUT": "quotas:update",
        "DELETE": "quotas:delete",
    }

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show limits and usage of one project, or list those with limits of their own."""
        if req.has_param("project"):
            project = self._requests.project(req)
            limits, usage = await self._quotas.describe(project)
            self._responses.quota(req, resp, project, limits, usage)
            return
        marker, limit = self._requests.page(req)
        listed, following = await self._quotas.list(marker=marker, limit=limit)
        self._responses.overrides(req, resp, listed, following)

    async def on_put(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Set the limits of a project; what is left out has the default."""
        project = self._requests.project(req)
        await self._quotas.override(project, await self._requests.quotas(req))
        audit.changed(req, "quota.changed", project)
        resp.status = falcon.HTTP_204

    async def on_delete(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Let the defaults hold for a project again."""
        project = self._requests.project(req)
        await self._quotas.forget(project)
        audit.changed(req, "quota.deleted", project)
        resp.status = falcon.HTTP_204
