"""All rendering of cursors, and of what is read with them."""

from __future__ import annotations

from typing import Any

import falcon
import falcon.asgi
import msgspec

from queues import ids
from queues.operations.cursors import CursorPage, CursorView
from queues.operations.messages import Snapshot
from queues.operations.readings import Reading, place_of
from transport.items import PREFIX, Detailed, Item, timestamp
from transport.responses import ResponseWriter, links


class CursorResponseWriter:
    """Writes answers in the encoding that the request asked for."""

    def __init__(self, responses: ResponseWriter) -> None:
        """Write documents and messages with `responses`."""
        self._responses = responses

    def created(
        self, resp: falcon.asgi.Response, queue: str, name: str, *, created: bool
    ) -> None:
        """Answer 201 for a new cursor and 204 for one that existed."""
        resp.status = falcon.HTTP_201 if created else falcon.HTTP_204
        resp.set_header("Location", f"{PREFIX}/queues/{queue}/cursors/{name}")

    def cursor(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, cursor: CursorView
    ) -> None:
        """Answer with where a cursor stands."""
        self._responses.document(req, resp, _shown(cursor))

    def page(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, page: CursorPage
    ) -> None:
        """Answer with a page of cursors and a link to the next one."""
        document = {
            "cursors": [_shown(cursor) for cursor in page.cursors],
            "links": links(req, page.marker),
        }
        self._responses.document(req, resp, document)

    def reading(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        reading: Reading,
    ) -> None:
        """Answer with messages, the position of each, and the one behind them."""
        end = ids.position(*reading.end, reading.tag)
        document = {"messages": self.messages(req, queue, reading), "position": end}
        self._responses.document(req, resp, document)

    def messages(
        self, req: falcon.asgi.Request, queue: str, reading: Reading
    ) -> list[dict[str, Any]]:
        """Return messages for a document, each with its position."""
        found = Snapshot(reading.messages, reading.tag, reading.now_ms)
        items = self._responses.shown(req, queue, found)
        return [
            {**_fields(item), "position": ids.position(*place_of(message), reading.tag)}
            for item, message in zip(items, reading.messages, strict=True)
        ]


def _shown(cursor: CursorView) -> dict[str, Any]:
    return {
        "name": cursor.name,
        "position": cursor.position,
        "lag": cursor.lag,
        "created": timestamp(cursor.created_ms),
    }


def _fields(item: Item | Detailed) -> dict[str, Any]:
    return {
        name: value
        for name, value in msgspec.structs.asdict(item).items()
        if value is not msgspec.UNSET
    }
