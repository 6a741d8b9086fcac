"""Actions on messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from queues import ids
from queues.errors import InvalidRequest, MalformedBody, MessageNotFound
from queues.model import Message
from queues.operations.messages import Draft, MessageQuery, Snapshot
from transport import audit, media
from transport.items import ItemWriter, View, age_s
from transport.socket.action import Action, Call, OfQueue
from transport.socket.frames import Reply


class _New(msgspec.Struct):
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    ttl: Any = None
    delay: Any = None


class _Post(OfQueue):
    messages: list[_New]


class _List(OfQueue):
    marker: str | None = None
    limit: int | None = None
    echo: bool = False
    include_claimed: bool = False
    include_delayed: bool = False


class _One(OfQueue):
    message_id: str
    claim_id: str | None = None


class _Many(OfQueue):
    message_ids: list[str]


class _Delete(OfQueue):
    message_ids: list[str] | None = None
    claim_ids: list[str] | None = None
    pop: int | None = None


class Shown(msgspec.Struct):
    """A message as it is shown on a socket: without an address."""

    id: str
    claim_id: str | None
    ttl: int
    age: int
    body: msgspec.Raw


def shown(call: Call, found: Snapshot) -> list[Shown]:
    """Return messages for a reply."""
    return [_shown(call, found, message) for message in found.messages]


def _shown(call: Call, found: Snapshot, message: Message) -> Shown:
    return Shown(
        ids.message_id(message.seq, found.tag),
        message.claim_id,
        message.ttl_s,
        age_s(message, found.now_ms),
        media.as_media(message.body, message.media, call.media),
    )


async def _post(call: Call, wanted: _Post) -> Reply:
    done = await call.operations.messages.post(
        call.project,
        wanted.queue_name,
        [_draft(call, message) for message in wanted.messages],
        client_id=call.caller.client_id,
        document_bytes=call.body_bytes,
        idempotency_key=None,
    )
    if done.made_queue:
        audit.changed(call.req, "queue.created", wanted.queue_name)
    return Reply(201, {"message_ids": done.message_ids})


def _draft(call: Call, message: _New) -> Draft:
    if message.body is msgspec.UNSET:
        raise MalformedBody('Bad request. Missing "body" field.')
    for name, value in (("ttl", message.ttl), ("delay", message.delay)):
        if value is not None and type(value) is not int:
            raise MalformedBody(f'Bad request. The value of the "{name}" field must be a int.')
    return Draft(bytes(message.body), call.media, message.ttl, message.delay)


async def _list(call: Call, wanted: _List) -> Reply:
    limit = call.page(wanted.limit, call.settings.max_messages_per_page)
    query = MessageQuery(
        marker=wanted.marker or "",
        limit=limit,
        echo=wanted.echo,
        include_claimed=wanted.include_claimed,
        include_delayed=wanted.include_delayed,
    )
    page = await call.operations.messages.list(
        call.project, wanted.queue_name, query, client_id=call.caller.client_id
    )
    # Zaqar has no way to the next page; this key is ours.
    marker = None if page.next_seq is None else ids.message_id(page.next_seq, page.tag)
    return Reply(200, {"messages": shown(call, page), "marker": marker})


async def _get(call: Call, wanted: _One) -> Reply:
    found = await _found(call, wanted.queue_name, [wanted.message_id])
    return Reply(200, {"messages": shown(call, found)[0]})


async def _get_many(call: Call, wanted: _Many) -> Reply:
    try:
        found = await _found(call, wanted.queue_name, wanted.message_ids)
    except MessageNotFound:
        return Reply(200, {"messages": []})
    return Reply(200, {"messages": shown(call, found)})


async def _found(call: Call, queue: str, message_ids: Sequence[str]) -> Snapshot:
    return await call.operations.messages.get_many(call.project, queue, message_ids)


async def _delete(call: Call, wanted: _One) -> Reply:
    await call.operations.messages.delete(
        call.project, wanted.queue_name, wanted.message_id, claim_id=wanted.claim_id
    )
    return Reply(204, {})


async def _delete_many(call: Call, wanted: _Delete) -> Reply:
    if (wanted.pop is None) == (wanted.message_ids is None):
        raise InvalidRequest("Give either message_ids or pop, and not both.")
    if wanted.pop is not None:
        return await _pop(call, wanted.queue_name, wanted.pop)
    await call.operations.messages.delete_many(
        call.project,
        wanted.queue_name,
        wanted.message_ids or (),
        claim_ids=wanted.claim_ids,
    )
    return Reply(204, {})


async def _pop(call: Call, queue: str, limit: int) -> Reply:
    popped = await call.operations.messages.pop(call.project, queue, limit=limit)
    view = View(popped.tag, popped.now_ms, call.media)
    items = ItemWriter(checksums=call.settings.enable_checksum)
    return Reply(200, {"messages": items.popped(popped.messages, view)})


ACTIONS = {
    "message_post": Action("messages:create", "POST", "/messages", _Post, _post),
    "message_list": Action("messages:get_all", "GET", "/messages", _List, _list),
    "message_get": Action("messages:get", "GET", "/messages", _One, _get),
    "message_get_many": Action("messages:get_all", "GET", "/messages", _Many, _get_many),
    "message_delete": Action("messages:delete", "DELETE", "/messages", _One, _delete),
    "message_delete_many": Action(
        "messages:delete_all", "DELETE", "/messages", _Delete, _delete_many
    ),
}
