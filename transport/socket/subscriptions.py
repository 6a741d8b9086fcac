"""Actions on subscriptions: those of the socket itself."""

from __future__ import annotations

from typing import Any

from queues.errors import InvalidRequest
from transport.socket.action import Action, Call, OfQueue
from transport.socket.frames import Reply
from transport.socket.pushes import Push


class _Create(OfQueue):
    subscriber: str | None = None
    ttl: int | None = None
    options: dict[str, Any] | None = None
    marker: str | None = None
    with_id: bool = False


class _List(OfQueue):
    marker: str | None = None
    limit: int | None = None


class _One(OfQueue):
    subscription_id: str


async def _create(call: Call, wanted: _Create) -> Reply:
    if wanted.subscriber is not None:
        raise InvalidRequest("subscriber: other subscribers are made over HTTP.")
    push = await call.pushes.begin(
        call.project,
        wanted.queue_name,
        marker=wanted.marker,
        shows_ids=wanted.with_id,
        encoding=call.media,
    )
    text = f"Subscription to {wanted.queue_name} created."
    return Reply(201, {"subscription_id": push.id, "message": text})


async def _list(call: Call, wanted: _List) -> Reply:
    after = [
        push for push in call.pushes.of(wanted.queue_name) if push.id > (wanted.marker or "")
    ]
    limit = call.page(wanted.limit, call.settings.max_messages_per_page)
    return Reply(200, {"subscriptions": [_shown(push) for push in after[:limit]]})


async def _get(call: Call, wanted: _One) -> Reply:
    push = call.pushes.get(wanted.queue_name, wanted.subscription_id)
    if push is None:
        return Reply(404, {"error": f"Subscription {wanted.subscription_id} does not exist."})
    return Reply(200, _shown(push))


async def _delete(call: Call, wanted: _One) -> Reply:
    call.pushes.end(wanted.queue_name, wanted.subscription_id)
    return Reply(204, f"Subscription {wanted.subscription_id} removed.")


def _shown(push: Push) -> dict[str, Any]:
    return {
        "id": push.id,
        "source": push.queue,
        "subscriber": "websocket",
        "ttl": 0,
        "age": 0,
        "options": {},
        "confirmed": True,
    }


ACTIONS = {
    "subscription_create": Action(
        "messages:get_all", "POST", "/subscriptions", _Create, _create
    ),
    "subscription_list": Action("messages:get_all", "GET", "/subscriptions", _List, _list),
    "subscription_get": Action("messages:get_all", "GET", "/subscriptions", _One, _get),
    "subscription_delete": Action(
        "messages:get_all", "DELETE", "/subscriptions", _One, _delete
    ),
}
