"""Actions on queues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from queues import ids
from queues.model import Message
from queues.operations.queues import QueueQuery, QueueStats
from transport import audit
from transport.items import age_s, timestamp
from transport.requests import RESOURCE_TYPES, purged_types, textual
from transport.socket.action import Action, Call, OfQueue
from transport.socket.frames import Reply


class _List(msgspec.Struct):
    marker: str | None = None
    limit: int | None = None
    detailed: bool = False


class _Create(OfQueue):
    metadata: dict[str, Any] | None = None


class _Purge(OfQueue):
    resource_types: list[str] | None = None


async def _list(call: Call, wanted: _List) -> Reply:
    cap = call.settings.max_queues_per_page
    limit = call.page(wanted.limit, cap)
    query = QueueQuery(wanted.marker or "", limit, wanted.detailed, "", False, {})
    page = await call.operations.queues.list(
        call.project, query, grant=call.caller.identity.grant
    )
    shown: list[dict[str, Any]] = []
    for queue in page.queues:
        shown.append({"name": queue.name})
        if queue.metadata is not None:
            shown[-1]["metadata"] = queue.metadata
    return Reply(200, {"queues": shown})


async def _create(call: Call, wanted: _Create) -> Reply:
    queue = wanted.queue_name
    created = await call.operations.queues.create(
        call.project, queue, textual(wanted.metadata or {}), grant=call.caller.identity.grant
    )
    if created:
        audit.changed(call.req, "queue.created", queue)
    return Reply(201 if created else 204, f"Queue {queue} created.")


async def _delete(call: Call, wanted: OfQueue) -> Reply:
    await call.operations.queues.delete(call.project, wanted.queue_name)
    audit.changed(call.req, "queue.deleted", wanted.queue_name)
    return Reply(204, f"Queue {wanted.queue_name} removed.")


async def _get(call: Call, wanted: OfQueue) -> Reply:
    metadata: Mapping[str, Any] = await call.operations.queues.describe(
        call.project, wanted.queue_name
    )
    return Reply(200, metadata)


async def _stats(call: Call, wanted: OfQueue) -> Reply:
    counted = await call.operations.queues.stats(call.project, wanted.queue_name)
    stats = counted.stats
    shown: dict[str, Any] = {
        "free": stats.total - stats.claimed,
        "claimed": stats.claimed,
        "total": stats.total,
    }
    for name, message in (("oldest", stats.oldest), ("newest", stats.newest)):
        if message is not None:
            shown[name] = _end(counted, message)
    return Reply(200, {"messages": shown})


def _end(counted: QueueStats, message: Message) -> dict[str, Any]:
    return {
        "id": ids.message_id(message.seq, counted.tag),
        "age": age_s(message, counted.now_ms),
        "created": timestamp(message.posted_ms),
    }


async def _purge(call: Call, wanted: _Purge) -> Reply:
    operations, types = call.operations, wanted.resource_types
    purges = {
        "messages": operations.queues.purge,
        "subscriptions": operations.subscriptions.purge,
    }
    kinds = RESOURCE_TYPES if types is None else purged_types(types)
    for kind in kinds:
        await purges[kind](call.project, wanted.queue_name)
    if kinds:
        audit.changed(call.req, "queue.purged", wanted.queue_name)
    return Reply(204, {})


ACTIONS = {
    "queue_list": Action("queues:get_all", "GET", "", _List, _list),
    "queue_create": Action("queues:create", "PUT", "", _Create, _create),
    "queue_delete": Action("queues:delete", "DELETE", "", OfQueue, _delete),
    "queue_get": Action("queues:get", "GET", "", OfQueue, _get),
    "queue_get_stats": Action("queues:stats", "GET", "/stats", OfQueue, _stats),
    "queue_purge": Action("queues:purge", "POST", "/purge", _Purge, _purge),
}
