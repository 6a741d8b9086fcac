"""All rendering of subscriptions and deliveries."""

from __future__ import annotations

from typing import Any

import falcon
import falcon.asgi

from queues.deliveries import Attempt
from queues.operations.deliveries import DeliveryPage, Listed, Replayed
from queues.operations.subscriptions import Made, View
from queues.subscriptions import State, Subscription
from transport.items import PREFIX, timestamp
from transport.responses import ResponseWriter, links


class SubscriptionResponseWriter:
    """Writes answers in the encoding that the request asked for."""

    def __init__(self, responses: ResponseWriter) -> None:
        """Write documents with `responses`."""
        self._document = responses.document

    def created(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, made: Made
    ) -> None:
        """Answer 201 with the id, and with the secret if one was made: it is shown this once.

        As with Zaqar, `Location` is the collection.
        """
        resp.status = falcon.HTTP_201
        resp.set_header("Location", f"{PREFIX}/queues/{queue}/subscriptions")
        document = {"subscription_id": made.id}
        if made.secret is not None:
            document["secret"] = made.secret
        self._document(req, resp, document)

    def page(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        view: View,
    ) -> None:
        """Answer with a page of subscriptions and a link to the next one."""
        page = view.subscriptions
        shown = [shown_subscription(queue, subscription, view.now_ms) for subscription in page]
        following = page[-1].id if page else None
        self._document(req, resp, {"subscriptions": shown, "links": links(req, following)})

    def item(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        view: View,
    ) -> None:
        """Answer with one subscription."""
        self._document(req, resp, shown_subscription(queue, view.subscriptions[0], view.now_ms))

    def changed(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer 204 with the address that was asked."""
        resp.status = falcon.HTTP_204
        resp.set_header("Location", req.path)

    def deliveries(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, page: DeliveryPage
    ) -> None:
        """Answer with a page of deliveries and a link to the next one."""
        shown = [_delivery(listed) for listed in page.deliveries]
        self._document(req, resp, {"deliveries": shown, "links": links(req, page.marker)})

    def replayed(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, replayed: Replayed
    ) -> None:
        """Answer 202: so many will be sent again; with a marker, more are to be looked at."""
        resp.status = falcon.HTTP_202
        document = {"replayed": replayed.number, "marker": replayed.marker}
        self._document(req, resp, document)


def shown_subscription(queue: str, subscription: Subscription, now_ms: int) -> dict[str, Any]:
    """Return a subscription as Zaqar shows it, and its state."""
    return {
        "id": subscription.id,
        "source": queue,
        "subscriber": subscription.subscriber,
        "ttl": subscription.ttl_s,
        "age": max(0, now_ms - subscription.started_ms) // 1000,
        "options": subscription.options,
        "confirmed": subscription.state is State.CONFIRMED,
        "state": subscription.state,
    }


def _delivery(listed: Listed) -> dict[str, Any]:
    delivery = listed.delivery
    return {
        "id": listed.id,
        "state": delivery.state,
        "since": timestamp(delivery.since_ms),
        "due": None if listed.due_ms is None else timestamp(listed.due_ms),
        "attempts": [_attempt(attempt) for attempt in delivery.attempts],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": timestamp(attempt.at_ms),
        "seconds": attempt.took_ms / 1000,
        "status": attempt.status,
        "error": attempt.error or None,
    }
