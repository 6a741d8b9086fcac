"""Actions on subscriptions: those of the socket itself, and those that are stored.

To listen takes the rule that reading takes; for the others the rules are those of HTTP.
"""

from __future__ import annotations

from typing import Any

import msgspec

from queues.errors import InvalidRequest
from queues.operations.subscriptions import Caller
from queues.subscriptions import Wanted
from transport import audit
from transport.identity.strategy import presented_token
from transport.socket.action import Action, Call, OfQueue
from transport.socket.frames import Reply
from transport.socket.push import Push, Terms
from transport.socket.pushes import RULE
from transport.subscription_responses import shown_subscription


class _Create(OfQueue):
    subscriber: str | None = None
    ttl: int | None = None
    options: dict[str, Any] | None = None
    marker: str | None = None
    cursor: str | None = None
    with_id: bool = False


class _List(OfQueue):
    marker: str | None = None
    limit: int | None = None


class _One(OfQueue):
    subscription_id: str


async def _create(call: Call, wanted: _Create) -> Reply:
    if wanted.subscriber is None:
        made = await _listen(call, wanted)
    else:
        made = await _store(call, wanted)
    return Reply(201, {**made, "message": f"Subscription to {wanted.queue_name} created."})


async def _listen(call: Call, wanted: _Create) -> dict[str, str]:
    call.check(RULE, wanted.queue_name)
    if wanted.marker is not None and wanted.cursor is not None:
        raise InvalidRequest("Give either marker or cursor, and not both.")
    push = await call.pushes.add(
        Terms(
            call.project,
            wanted.queue_name,
            call.media,
            wanted.marker,
            wanted.cursor,
            wanted.with_id,
        )
    )
    return {"subscription_id": push.id}


async def _store(call: Call, wanted: _Create) -> dict[str, str]:
    queue = wanted.queue_name
    call.check("subscription:create", queue)
    caller = Caller(call.caller.identity, presented_token(call.req))
    options = None if wanted.options is None else msgspec.to_builtins(wanted.options)
    made = await call.operations.subscriptions.create(
        caller, queue, Wanted(wanted.subscriber, wanted.ttl, options)
    )
    if made.made_queue:
        audit.changed(call.req, "queue.created", queue)
    audit.changed(call.req, "subscription.created", f"{queue}/{made.id}")
    secret = {} if made.secret is None else {"secret": made.secret}
    return {"subscription_id": made.id, **secret}


async def _list(call: Call, wanted: _List) -> Reply:
    marker, queue = wanted.marker or "", wanted.queue_name
    limit = call.page(wanted.limit, call.settings.max_subscriptions_per_page)
    stored = await call.operations.subscriptions.list(
        call.project, queue, marker=marker, limit=limit
    )
    found = [_shown(push) for push in call.pushes.of(queue) if push.id > marker]
    found += [shown_subscription(queue, one, stored.now_ms) for one in stored.subscriptions]
    found.sort(key=lambda one: one["id"])
    return Reply(200, {"subscriptions": found[:limit]})


async def _get(call: Call, wanted: _One) -> Reply:
    queue, subscription_id = wanted.queue_name, wanted.subscription_id
    push = call.pushes.get(queue, subscription_id)
    if push is not None:
        return Reply(200, _shown(push))
    call.check("subscription:get", queue)
    view = await call.operations.subscriptions.show(call.project, queue, subscription_id)
    return Reply(200, shown_subscription(queue, view.subscriptions[0], view.now_ms))


async def _delete(call: Call, wanted: _One) -> Reply:
    queue, subscription_id = wanted.queue_name, wanted.subscription_id
    push = call.pushes.get(queue, subscription_id)
    if push is not None:
        call.pushes.end(push)
    else:
        call.check("subscription:delete", queue)
        await call.operations.subscriptions.delete(call.project, queue, subscription_id)
        audit.changed(call.req, "subscription.deleted", f"{queue}/{subscription_id}")
    return Reply(204, f"Subscription {subscription_id} removed.")


def _shown(push: Push) -> dict[str, Any]:
    """Return one of the socket's own; it ends with the socket, at no other time."""
    return {
        "id": push.id,
        "source": push.terms.queue,
        "subscriber": "websocket",
        "ttl": 0,
        "age": 0,
        "options": {},
        "confirmed": True,
    }


ACTIONS = {
    "subscription_create": Action(None, "POST", "/subscriptions", _Create, _create),
    "subscription_list": Action("subscription:get_all", "GET", "/subscriptions", _List, _list),
    "subscription_get": Action(None, "GET", "/subscriptions", _One, _get),
    "subscription_delete": Action(None, "DELETE", "/subscriptions", _One, _delete),
}
