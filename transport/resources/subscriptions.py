"""`/v2/queues/{queue}/subscriptions` and below: who is notified of what is posted."""

from __future__ import annotations

from typing import ClassVar

import falcon
import falcon.asgi

from queues.operations.subscriptions import SubscriptionOperations
from transport import audit
from transport.subscription_requests import SubscriptionRequestReader
from transport.subscription_responses import SubscriptionResponseWriter


class _SubscriptionResource:
    """What the resources of this file are made with."""

    def __init__(
        self,
        subscriptions: SubscriptionOperations,
        requests: SubscriptionRequestReader,
        responses: SubscriptionResponseWriter,
    ) -> None:
        self._subscriptions = subscriptions
        self._requests = requests
        self._responses = responses


class SubscriptionCollection(_SubscriptionResource):
    """`/v2/queues/{queue}/subscriptions`."""

    rules: ClassVar = {"GET": "subscription:get_all", "POST": "subscription:create"}

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """List the subscriptions of a queue."""
        marker, limit = self._requests.page(req)
        listing = await self._subscriptions.list(
            req.context.caller.project, queue, marker=marker, limit=limit
        )
        self._responses.page(req, resp, queue, listing)

    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Subscribe."""
        wanted = await self._requests.creation(req)
        made = await self._subscriptions.create(self._requests.caller(req), queue, wanted)
        if made.made_queue:
            audit.changed(req, "queue.created", queue)
        audit.changed(req, "subscription.created", f"{queue}/{made.id}")
        self._responses.created(req, resp, queue, made)


class SubscriptionItem(_SubscriptionResource):
    """`/v2/queues/{queue}/subscriptions/{subscription_id}`."""

    rules: ClassVar = {
        "GET": "subscription:get",
        "PATCH": "subscription:update",
        "DELETE": "subscription:delete",
    }

    async def on_get(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        subscription_id: str,
    ) -> None:
        """Show a subscription."""
        project = req.context.caller.project
        view = await self._subscriptions.show(project, queue, subscription_id)
        self._responses.item(req, resp, queue, view)

    async def on_patch(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        subscription_id: str,
    ) -> None:
        """Change a subscription."""
        wanted, caller = await self._requests.change(req), self._requests.caller(req)
        await self._subscriptions.update(caller, queue, subscription_id, wanted)
        audit.changed(req, "subscription.updated", f"{queue}/{subscription_id}")
        self._responses.changed(req, resp)

    async def on_delete(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        subscription_id: str,
    ) -> None:
        """Delete a subscription."""
        await self._subscriptions.delete(req.context.caller.project, queue, subscription_id)
        audit.changed(req, "subscription.deleted", f"{queue}/{subscription_id}")
        resp.status = falcon.HTTP_204


class SubscriptionConfirmation(_SubscriptionResource):
    """`/v2/queues/{queue}/subscriptions/{subscription_id}/confirm`."""

    rules: ClassVar = {"PUT": "subscription:confirm"}

    async def on_put(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        subscription_id: str,
    ) -> None:
        """Note whether the subscriber agrees."""
        confirmed, project = await self._requests.confirmed(req), req.context.caller.project
        await self._subscriptions.confirm(project, queue, subscription_id, confirmed=confirmed)
        event = "subscription.confirmed" if confirmed else "subscription.ended"
        audit.changed(req, event, f"{queue}/{subscription_id}")
        self._responses.changed(req, resp)
