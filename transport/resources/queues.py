"""`/v2/queues` and below: queues, their statistics, and purging them."""

from __future__ import annotations

from typing import ClassVar

import falcon
import falcon.asgi

from queues.operations.queues import QueueOperations
from queues.operations.subscriptions import SubscriptionOperations
from transport import audit
from transport.requests import RequestReader
from transport.responses import ResponseWriter


class _QueueResource:
    """What the resources of this file are made with."""

    def __init__(
        self, queues: QueueOperations, requests: RequestReader, responses: ResponseWriter
    ) -> None:
        self._queues = queues
        self._requests = requests
        self._responses = responses


class QueueCollection(_QueueResource):
    """`/v2/queues`."""

    rules: ClassVar = {"GET": "queues:get_all"}

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """List the queues of the project."""
        query, caller = self._requests.queue_query(req), req.context.caller
        page = await self._queues.list(caller.project, query, grant=caller.identity.grant)
        self._responses.queue_page(req, resp, page)


class QueueItem(_QueueResource):
    """`/v2/queues/{queue}`."""

    rules: ClassVar = {
        "PUT": "queues:create",
        "GET": "queues:get",
        "HEAD": "queues:get",
        "PATCH": "queues:update",
        "DELETE": "queues:delete",
    }

    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Create the queue; an existing one stays as it is."""
        metadata, caller = await self._requests.metadata(req), req.context.caller
        created = await self._queues.create(
            caller.project, queue, metadata, grant=caller.identity.grant
        )
        if created:
            audit.changed(req, "queue.created", queue)
        self._responses.queue_created(resp, queue, created=created)

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Show the metadata."""
        metadata = await self._queues.describe(req.context.caller.project, queue)
        self._responses.document(req, resp, metadata)

    async def on_head(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Say whether the queue exists."""
        exists = await self._queues.exists(req.context.caller.project, queue)
        resp.status = falcon.HTTP_200 if exists else falcon.HTTP_404

    async def on_patch(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Change the metadata."""
        changes, caller = await self._requests.changes(req), req.context.caller
        metadata = await self._queues.update(
            caller.project, queue, changes, grant=caller.identity.grant
        )
        audit.changed(req, "queue.updated", queue)
        self._responses.document(req, resp, metadata)

    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Delete the queue and all in it."""
        await self._queues.delete(req.context.caller.project, queue)
        audit.changed(req, "queue.deleted", queue)
        resp.status = falcon.HTTP_204


class QueueStatistics(_QueueResource):
    """`/v2/queues/{queue}/stats`."""

    rules: ClassVar = {"GET": "queues:stats"}

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Count the messages by state."""
        stats = await self._queues.stats(req.context.caller.project, queue)
        self._responses.stats(req, resp, queue, stats)


class QueuePurge:
    """`/v2/queues/{queue}/purge`."""

    rules: ClassVar = {"POST": "queues:purge"}

    def __init__(
        self,
        queues: QueueOperations,
        subscriptions: SubscriptionOperations,
        requests: RequestReader,
    ) -> None:
        """Purge messages with `queues`, and subscriptions."""
        self._purges = {"messages": queues.purge, "subscriptions": subscriptions.purge}
        self._requests = requests

    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Remove all messages in every state, all subscriptions, or both."""
        kinds = await self._requests.purged(req)
        for kind in kinds:
            await self._purges[kind](req.context.caller.project, queue)
        if kinds:
            audit.changed(req, "queue.purged", queue)
        resp.status = falcon.HTTP_204
