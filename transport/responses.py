"""All rendering of answers: model objects become documents, links, headers and statuses.

Every `href` is a path that starts with `/v2/`: clients put the endpoint in front.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import falcon
import falcon.asgi
import msgspec

from queues import ids
from queues.model import DeadLetter, Health, Media, Message
from queues.operations.claims import ClaimView
from queues.operations.messages import Snapshot
from queues.operations.queues import QueuePage, QueueStats
from transport import media

PREFIX = "/v2"


class _Item(msgspec.Struct):
    """A message as Zaqar's clients know it. More keys would be an error to them."""

    id: str
    href: str
    ttl: int
    age: int
    body: msgspec.Raw
    checksum: str | msgspec.UnsetType = msgspec.UNSET


class _Popped(msgspec.Struct):
    """A message that is gone from the queue, and therefore has no address."""

    id: str
    age: int
    ttl: int
    body: msgspec.Raw
    claim_id: str | None
    claim_count: int
    checksum: str | msgspec.UnsetType = msgspec.UNSET


class _Detailed(msgspec.Struct):
    """A message with everything that Nusku knows of it."""

    id: str
    href: str
    ttl: int
    age: int
    body: msgspec.Raw
    state: str
    claim_id: str | None
    claim_count: int
    dead_letter: dict[str, Any] | None
    checksum: str | msgspec.UnsetType = msgspec.UNSET


class ResponseWriter:
    """Writes answers in the encoding that the request asked for."""

    def __init__(self, *, checksums: bool) -> None:
        """Add Zaqar's MD5 checksum to each message if `checksums`."""
        self._checksums = checksums

    def document(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, value: object
    ) -> None:
        """Answer with a document in the encoding that the client accepts."""
        wanted: Media = req.context.media
        resp.content_type = media.JSON if wanted is Media.JSON else media.MSGPACK
        resp.data = media.encode(value, wanted)

    # -- queues ----------------------------------------------------------------------------

    def queue_created(self, resp: falcon.asgi.Response, queue: str, *, created: bool) -> None:
        """Answer 201 for a new queue and 204 for one that existed."""
        resp.status = falcon.HTTP_201 if created else falcon.HTTP_204
        resp.set_header("Location", f"{PREFIX}/queues/{queue}")

    def queue_page(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, page: QueuePage
    ) -> None:
        """Answer with a page of queues and a link to the next one."""
        queues = []
        for listed in page.queues:
            shown: dict[str, Any] = {
                "name": listed.name,
                "href": f"{PREFIX}/queues/{listed.name}",
            }
            if listed.metadata is not None:
                shown["metadata"] = listed.metadata
            queues.append(shown)
        document: dict[str, Any] = {"queues": queues, "links": _links(req, page.marker)}
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
                    "href": _message_href(queue, ids.message_id(message.seq, counted.tag)),
                    "age": _age_s(message, counted.now_ms),
                    "created": _timestamp(message.posted_ms),
                }
        self.document(req, resp, {"messages": shown})

    # -- messages --------------------------------------------------------------------------

    def posted(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        message_ids: Any,
    ) -> None:
        """Answer 201 with the addresses of new messages."""
        resp.status = falcon.HTTP_201
        resp.set_header(
            "Location", f"{PREFIX}/queues/{queue}/messages?ids={','.join(message_ids)}"
        )
        self.document(
            req, resp, {"resources": [_message_href(queue, text) for text in message_ids]}
        )

    def message_page(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        page: Snapshot,
        *,
        detailed: bool,
    ) -> None:
        """Answer with a page of messages and a link to the next one."""
        marker = None if page.next_seq is None else ids.message_id(page.next_seq, page.tag)
        document = {
            "messages": self._shown(req, queue, page, detailed=detailed),
            "links": _links(req, marker),
        }
        self.document(req, resp, document)

    def messages(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        found: Snapshot,
        *,
        detailed: bool,
    ) -> None:
        """Answer with messages that were asked for by id."""
        shown = self._shown(req, queue, found, detailed=detailed)
        self.document(req, resp, {"messages": shown})

    def message(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        found: Snapshot,
        *,
        detailed: bool,
    ) -> None:
        """Answer with one bare message."""
        self.document(req, resp, self._shown(req, queue, found, detailed=detailed)[0])

    def popped(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, popped: Snapshot
    ) -> None:
        """Answer with messages that were removed."""
        wanted: Media = req.context.media
        shown = [
            _Popped(
                ids.message_id(message.seq, popped.tag),
                _age_s(message, popped.now_ms),
                message.ttl_s,
                media.as_media(message.body, message.media, wanted),
                message.claim_id,
                message.claim_count,
                self._checksum(message),
            )
            for message in popped.messages
        ]
        self.document(req, resp, {"messages": shown})

    # -- claims ----------------------------------------------------------------------------

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
        messages = Snapshot(view.claim.messages, view.tag, view.now_ms)
        self.messages(req, resp, queue, messages, detailed=False)

    def claim(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        view: ClaimView,
    ) -> None:
        """Answer with a claim and the messages that it still holds."""
        claim = view.claim
        messages = Snapshot(claim.messages, view.tag, view.now_ms)
        document = {
            "age": max(0, view.now_ms - claim.leased_ms) // 1000,
            "ttl": claim.lease_ms // 1000,
            "href": _claim_href(queue, claim.id),
            "messages": self._shown(req, queue, messages, detailed=False),
        }
        self.document(req, resp, document)

    # -- health ----------------------------------------------------------------------------

    def health(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        health: Health,
        seconds: float,
    ) -> None:
        """Answer with what the store says of itself; `seconds` is how long that took."""
        document = {
            "storage_reachable": True,
            "operation_status": {
                "ping": {"succeeded": True, "seconds": round(seconds, 6), "ref": None}
            },
            "durability": health.durability,
            "warnings": list(health.warnings),
        }
        self.document(req, resp, document)

    def _shown(
        self, req: falcon.asgi.Request, queue: str, found: Snapshot, *, detailed: bool
    ) -> list[Any]:
        if detailed:
            project = req.context.caller.project
            return [
                self._detailed(req, project, queue, message, found)
                for message in found.messages
            ]
        wanted: Media = req.context.media
        return [
            _Item(
                text := ids.message_id(message.seq, found.tag),
                _message_href(queue, text, message.claim_id),
                message.ttl_s,
                _age_s(message, found.now_ms),
                media.as_media(message.body, message.media, wanted),
                self._checksum(message),
            )
            for message in found.messages
        ]

    def _detailed(
        self,
        req: falcon.asgi.Request,
        queue: str,
        message: Message,
        found: Snapshot,
    ) -> _Detailed:
        text = ids.message_id(message.seq, found.tag)
        return _Detailed(
            text,
            _message_href(queue, text, message.claim_id),
            message.ttl_s,
            _age_s(message, found.now_ms),
            media.as_media(message.body, message.media, req.context.media),
            _state(message),
            message.claim_id,
            message.claim_count,
            message.dead_letter and _origin(req.context.caller.project, message.dead_letter),
            self._checksum(message),
        )

    def _checksum(self, message: Message) -> str | msgspec.UnsetType:
        if not self._checksums:
            return msgspec.UNSET
        return media.checksum(message.body, message.media) or msgspec.UNSET


def _state(message: Message) -> str:
    if message.claim_id is not None:
        return "claimed"
    return "delayed" if message.visible_ms else "ready"


def _origin(project: str, dead_letter: DeadLetter) -> dict[str, Any]:
    tag = ids.queue_tag(project, dead_letter.queue)
    return {
        "queue": dead_letter.queue,
        "message_id": ids.message_id(dead_letter.seq, tag),
        "reason": str(dead_letter.reason),
        "claim_count": dead_letter.claim_count,
        "moved_at": _timestamp(dead_letter.moved_ms),
    }


def _links(req: falcon.asgi.Request, marker: str | None) -> list[dict[str, str]]:
    """Return the link to the next page: the caller's own parameters with a new marker."""
    if marker is None:
        return []
    params = {**req.params, "marker": marker}
    return [{"rel": "next", "href": f"{req.path}?{urlencode(params, doseq=True)}"}]


def _message_href(queue: str, message_id: str, claim_id: str | None = None) -> str:
    """Return the address of a message. Clients cut the claim id off behind the last `=`."""
    href = f"{PREFIX}/queues/{queue}/messages/{message_id}"
    return href if claim_id is None else f"{href}?claim_id={claim_id}"


def _claim_href(queue: str, claim_id: str) -> str:
    return f"{PREFIX}/queues/{queue}/claims/{claim_id}"


def _age_s(message: Message, now_ms: int) -> int:
    # Clocks of several servers differ a little; an age is never negative.
    return max(0, now_ms - message.posted_ms) // 1000


def _timestamp(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
