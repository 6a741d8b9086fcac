"""`/v2/queues/{queue}/cursors` and below."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import falcon
import falcon.asgi

from queues.operations.cursors import CursorOperations
from transport import audit, headers
from transport.attendance import attended
from transport.cursor_requests import CursorRequestReader
from transport.cursor_responses import CursorResponseWriter
from transport.event_sources import CursorEvents
from transport.event_streams import EventStreams


class _CursorResource:
    """What the resources of this file are made with."""

    def __init__(
        self,
        cursors: CursorOperations,
        requests: CursorRequestReader,
        responses: CursorResponseWriter,
    ) -> None:
        self._cursors = cursors
        self._requests = requests
        self._responses = responses


class CursorCollection(_CursorResource):
    """`/v2/queues/{queue}/cursors`."""

    rules: ClassVar = {"GET": "cursors:get_all"}

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """List cursors by name."""
        marker, limit = self._requests.page(req)
        project = req.context.caller.project
        page = await self._cursors.list(project, queue, marker=marker, limit=limit)
        self._responses.page(req, resp, page)


class CursorItem(_CursorResource):
    """`/v2/queues/{queue}/cursors/{cursor}`."""

    rules: ClassVar = {
        "PUT": "cursors:create",
        "GET": "cursors:get",
        "DELETE": "cursors:delete",
    }

    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, cursor: str
    ) -> None:
        """Create a cursor."""
        start = await self._requests.start(req)
        project = req.context.caller.project
        created = await self._cursors.create(project, queue, cursor, start=start)
        if created:
            audit.changed(req, "cursor.created", f"{queue}/{cursor}")
        self._responses.created(resp, queue, cursor, created=created)

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, cursor: str
    ) -> None:
        """Show where it stands."""
        found = await self._cursors.get(req.context.caller.project, queue, cursor)
        self._responses.cursor(req, resp, found)

    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, cursor: str
    ) -> None:
        """Delete it; its queue stays as it is."""
        await self._cursors.delete(req.context.caller.project, queue, cursor)
        audit.changed(req, "cursor.deleted", f"{queue}/{cursor}")
        resp.status = falcon.HTTP_204


class CursorMessages(_CursorResource):
    """`/v2/queues/{queue}/cursors/{cursor}/messages`."""

    rules: ClassVar = {"GET": "messages:get_all"}
    streams: ClassVar = True

    def __init__(
        self,
        cursors: CursorOperations,
        requests: CursorRequestReader,
        responses: CursorResponseWriter,
        streams: EventStreams,
    ) -> None:
        """Read with `cursors`, on and on with `streams`."""
        super().__init__(cursors, requests, responses)
        self._streams = streams

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, cursor: str
    ) -> None:
        """Read on, without moving the cursor."""
        if getattr(req.context, "streams", False):
            await self._stream(req, resp, queue, cursor)
            return
        (after, limit), wait_s = self._requests.reading(req), self._requests.wait_s(req)
        project = req.context.caller.project
        read = partial(self._cursors.read, project, queue, cursor, after=after, limit=limit)
        if wait_s:
            reading = await attended(req, wait_s, read)
        else:
            reading = await read()
        self._responses.reading(req, resp, queue, reading)

    async def _stream(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, cursor: str
    ) -> None:
        after, limit = self._requests.reading(req)
        after = headers.last_event_id(req) or after
        source = CursorEvents(
            self._cursors, self._responses, req, queue, cursor, after=after, limit=limit
        )
        await self._streams.answer(req, resp, queue, source)


class CursorAcknowledgement(_CursorResource):
    """`/v2/queues/{queue}/cursors/{cursor}/ack`."""

    rules: ClassVar = {"POST": "cursors:update"}

    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, cursor: str
    ) -> None:
        """Note how far the reader has got."""
        position = await self._requests.position(req)
        project = req.context.caller.project
        await self._cursors.acknowledge(project, queue, cursor, position)
        resp.status = falcon.HTTP_204
