"""All rendering of answers: documents, links, headers and statuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import falcon
import falcon.asgi
from falcon.uri import encode_value

from queues import ids
from queues.model import Health, Media
from queues.operations.claims import ClaimView
from queues.operations.messages import Snapshot
from queues.operations.queues import QueuePage, QueueStats
from transport import media
from transport.items import (
    PREFIX,
    Detailed,
    Item,
    ItemWriter,
    View,
    age_s,
    message_href,
    messages_href,
    timestamp,
)


class ResponseWriter:
    """Writes answers in the encoding that the request asked for."""

    def __init__(self, *, checksums: bool, ids_per_address: int) -> None:
        """Add Zaqar's MD5 checksum to each message if `checksums`.

        `ids_per_address` is how many messages can be asked for at once.
        """
        self._items = ItemWriter(checksums=checksums)
        self._ids_per_address = ids_per_address

    def document(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, value: object
    ) -> None:
        """Answer with a document in the encoding that the client accepts."""
        wanted: Media = req.context.media
        resp.content_type = media.JSON if wanted is Media.JSON else media.MSGPACK
        resp.data = media.encode(value, wanted)

    def queue_created(self, resp: falcon.asgi.Response, queue: str, *, created: bool) -> None:
        """Answer 201 for a new queue and 204 for one that existed."""
        resp.status = falcon.HTTP_201 if created else falcon.HTTP_204
        resp.set_header("Location", f"{PREFIX}/queues/{queue}")

    def queue_page(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, page: QueuePage
    ) -> None:
        """Answer with a page of queues and a link to the next one."""
        document = {
            "queues": [_listed_queue(name, metadata) for name, metadata in page.queues],
            "links": links(req, page.marker),
        }
        if page.total:
            document["count"] = page.total
        self.document(req, resp, document)

    def stats(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        counted: QueueStats,
    ) -> None:
        """Answer with the counts of a queue, its oldest and its newest message."""
        stats = counted.stats
        shown: dict[str, Any] = {
            "free": stats.total - stats.claimed,
            "claimed": stats.claimed,
            "total": stats.total,
        }
        for name, message in (("oldest", stats.oldest), ("newest", stats.newest)):
            if message is not None:
                shown[name] = {
                    "href": message_href(queue, ids.message_id(message.seq, counted.tag)),
                    "age": age_s(message, counted.now_ms),
                    "created": timestamp(message.posted_ms),
                }
        self.document(req, resp, {"messages": shown})

    def posted(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        message_ids: Sequence[str],
        prefix: str = PREFIX,
    ) -> None:
        """Answer 201 with the addresses of new messages.

        `Location` names no more messages than can be asked for at once: with the ids of all
        it could outgrow what clients and proxies take for a header.
        """
        resp.status = falcon.HTTP_201
        above = messages_href(queue, prefix)
        first_ids = ",".join(message_ids[: self._ids_per_address])
        resp.set_header("Location", f"{above}?ids={first_ids}")
        addresses = [f"{above}/{message_id}" for message_id in message_ids]
        self.document(req, resp, {"resources": addresses})

    def message_page(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, page: Snapshot
    ) -> None:
        """Answer with a page of messages and a link to the next one."""
        marker = None if page.next_seq is None else ids.message_id(page.next_seq, page.tag)
        document = {"messages": self.shown(req, queue, page), "links": links(req, marker)}
        self.document(req, resp, document)

    def messages(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, found: Snapshot
    ) -> None:
        """Answer with messages that were asked for by id."""
        self.document(req, resp, {"messages": self.shown(req, queue, found)})

    def message(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, found: Snapshot
    ) -> None:
        """Answer with one bare message."""
        self.document(req, resp, self.shown(req, queue, found)[0])

    def popped(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, popped: Snapshot
    ) -> None:
        """Answer with messages that were removed."""
        view = View(popped.tag, popped.now_ms, req.context.media)
        self.document(req, resp, {"messages": self._items.popped(popped.messages, view)})

    def claimed(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        view: ClaimView | None,
    ) -> None:
        """Answer 201 with the claimed messages, or an empty 204 when there are none."""
        if view is None:
            resp.status = falcon.HTTP_204
            return
        resp.status = falcon.HTTP_201
        resp.set_header("Location", _claim_href(queue, view.claim.id))
        held = Snapshot(view.claim.messages, view.tag, view.now_ms)
        self.messages(req, resp, queue, held)

    def claim(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, view: ClaimView
    ) -> None:
        """Answer with a claim and the messages that it still holds."""
        claim = view.claim
        held = Snapshot(claim.messages, view.tag, view.now_ms)
        document = {
            "age": max(0, view.now_ms - claim.leased_ms) // 1000,
            "ttl": claim.lease_ms // 1000,
            "href": _claim_href(queue, claim.id),
            "messages": self.shown(req, queue, held),
        }
        self.document(req, resp, document)

    def health(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        health: Health,
        seconds: float,
    ) -> None:
        """Answer with what the store says of itself; `seconds` is how long that took."""
        ping = {"succeeded": True, "seconds": round(seconds, 6), "ref": None}
        document = {
            "storage_reachable": True,
            "operation_status": {"ping": ping},
            "durability": health.durability,
            "warnings": list(health.warnings),
        }
        self.document(req, resp, document)

    def shown(
        self, req: falcon.asgi.Request, queue: str, found: Snapshot
    ) -> Sequence[Item | Detailed]:
        """Return the messages for a document, with more than Zaqar's keys if asked for."""
        view = View(found.tag, found.now_ms, req.context.media)
        if req.context.detailed:
            project = req.context.caller.project
            return self._items.detailed(project, queue, found.messages, view)
        return self._items.items(queue, found.messages, view)


def _listed_queue(name: str, metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": name, "href": f"{PREFIX}/queues/{name}"}
    if metadata is not None:
        shown["metadata"] = metadata
    return shown


def links(req: falcon.asgi.Request, marker: str | None) -> Any:
    """Return the link to the next page: the caller's own parameters with a new marker."""
    if marker is None:
        return []
    params: dict[str, str | list[str]] = {**req.params, "marker": marker}
    query = "&".join(
        f"{encode_value(name)}={encode_value(value)}"
        for name, values in params.items()
        for value in ([values] if isinstance(values, str) else values)
    )
    return [{"rel": "next", "href": f"{req.path}?{query}"}]


def _claim_href(queue: str, claim_id: str) -> str:
    return f"{PREFIX}/queues/{queue}/claims/{claim_id}"
