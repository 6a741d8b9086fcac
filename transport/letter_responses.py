"""All rendering of dead letters and redrives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon
import falcon.asgi

from queues import ids
from queues.model import Media
from queues.operations.dead_letters import Letter, LetterPage
from queues.redrives import Redrive
from transport import media
from transport.items import PREFIX, age_s, message_href, timestamp
from transport.responses import ResponseWriter, links


class LetterResponseWriter:
    """Writes answers in the encoding that the request asked for."""

    def __init__(self, responses: ResponseWriter) -> None:
        """Write documents with `responses`."""
        self._document = responses.document

    def letters(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        page: LetterPage,
    ) -> None:
        """Answer with a page of dead letters and a link to the next one."""
        project = req.context.caller.project
        wanted = req.context.media
        shown = [_letter(project, queue, page, letter, wanted) for letter in page.letters]
        marker = None if page.next_seq is None else ids.message_id(page.next_seq, page.tag)
        document = {"dead_letters": shown, "links": links(req, marker)}
        self._document(req, resp, document)

    def started(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        redrive: Redrive,
    ) -> None:
        """Answer 202: the redrive goes on by itself."""
        resp.status = falcon.HTTP_202
        resp.set_header("Location", f"{PREFIX}/queues/{queue}/redrive")
        self.redrive(req, resp, redrive)

    def redrive(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, redrive: Redrive
    ) -> None:
        """Answer with what a redrive is to do and has done."""
        wanted, ended_ms = redrive.wanted, redrive.ended_ms
        filters = {"source": wanted.source, "reason": wanted.reason, "body": wanted.body}
        document = {
            "id": redrive.id,
            "state": str(redrive.state),
            "to": wanted.to,
            "filter": {name: value for name, value in filters.items() if value is not None},
            "rate": wanted.rate_per_s,
            "limit": wanted.limit,
            "moved": redrive.moved,
            "refused": redrive.refused,
            "skipped": redrive.skipped,
            "started_at": timestamp(redrive.started_ms),
            "ended_at": None if ended_ms is None else timestamp(ended_ms),
        }
        self._document(req, resp, document)


def _letter(
    project: str, queue: str, page: LetterPage, letter: Letter, wanted: Media
) -> dict[str, Any]:
    message, origin = letter.message, letter.origin
    message_id = ids.message_id(message.seq, page.tag)
    tag = ids.queue_tag(project, origin.queue)
    return {
        "id": message_id,
        "href": message_href(queue, message_id),
        "ttl": message.ttl_s,
        "age": age_s(message, page.now_ms),
        "body": media.as_media(message.body, message.media, wanted),
        "queue": origin.queue,
        "message_id": ids.message_id(origin.seq, tag),
        "reason": str(origin.reason),
        "claim_count": origin.claim_count,
        "posted_at": timestamp(message.posted_ms),
        "moved_at": timestamp(origin.moved_ms),
        "history": [_round(one) for one in letter.rounds],
    }


def _round(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return an earlier death, with times as they are shown."""
    return {
        name.replace("_ms", "_at"): timestamp(value) if name.endswith("_ms") else value
        for name, value in one.items()
    }
