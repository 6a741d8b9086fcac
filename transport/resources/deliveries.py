"""`/v2/queues/{queue}/subscriptions/{subscription_id}/deliveries` and `…/replay`."""

from __future__ import annotations

from typing import ClassVar

import falcon.asgi

from queues.operations.deliveries import DeliveryOperations
from queues.operations.delivery_book import Source
from transport import audit
from transport.subscription_requests import SubscriptionRequestReader
from transport.subscription_responses import SubscriptionResponseWriter


class _DeliveryResource:
    """What the resources of this file are made with."""

    def __init__(
        self,
        deliveries: DeliveryOperations,
        requests: SubscriptionRequestReader,
        responses: SubscriptionResponseWriter,
    ) -> None:
        self._deliveries = deliveries
        self._requests = requests
        self._responses = responses


class DeliveryCollection(_DeliveryResource):
    """`…/deliveries`."""

    rules: ClassVar = {"GET": "subscription:get_deliveries"}

    async def on_get(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        subscription_id: str,
    ) -> None:
        """List what became of notifications."""
        source, (marker, limit) = _source(req, queue), self._requests.page(req)
        page = await self._deliveries.list(
            source,
            subscription_id,
            state=self._requests.state(req),
            marker=marker,
            limit=limit,
        )
        self._responses.deliveries(req, resp, page)


class DeliveryReplay(_DeliveryResource):
    """`…/replay`."""

    rules: ClassVar = {"POST": "subscription:replay"}

    async def on_post(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        subscription_id: str,
    ) -> None:
        """Send notifications again."""
        selection = await self._requests.selection(req)
        replayed = await self._deliveries.replay(
            _source(req, queue), subscription_id, selection
        )
        audit.changed(req, "subscription.replayed", f"{queue}/{subscription_id}")
        self._responses.replayed(req, resp, replayed)


def _source(req: falcon.asgi.Request, queue: str) -> Source:
    return Source(req.context.caller.project, queue)
