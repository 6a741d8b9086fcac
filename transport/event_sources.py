"""What can be streamed: the messages of a queue, and what a reader with a cursor sees."""

from __future__ import annotations

import falcon.asgi

from queues import ids
from queues.operations.cursors import CursorOperations
from queues.operations.following import Following
from queues.operations.messages import MessageQuery
from transport.cursor_responses import CursorResponseWriter
from transport.event_streams import event
from transport.responses import ResponseWriter


class MessageEvents:
    """The messages of a queue, each an event with its id."""

    def __init__(
        self,
        following: Following,
        responses: ResponseWriter,
        req: falcon.asgi.Request,
        queue: str,
        query: MessageQuery,
        after_seq: int,
    ) -> None:
        """Begin behind `after_seq`, and leave out what `query` does not ask for."""
        self._following = following
        self._responses = responses
        self._req = req
        self._queue = queue
        self._query = query
        self._after_seq = after_seq

    async def read(self) -> bytes:
        """See `Source`. A stretch of messages that are left out is passed at once."""
        caller, query = self._req.context.caller, self._query
        while True:
            page = await self._following.read(
                caller.project,
                self._queue,
                self._after_seq,
                include_claimed=query.include_claimed,
                include_delayed=query.include_delayed,
                exclude_client_id=None if query.echo else caller.client_id,
            )
            if page.next_seq is None:
                return b""
            # NOTE: what cannot be shown, as it is encrypted, must not be passed.
            shown = self._responses.shown(self._req, self._queue, page)
            self._after_seq = page.next_seq
            if shown:
                return b"".join(event(item, event_id=item.id) for item in shown)


class CursorEvents:
    """What a reader with a cursor sees, each message an event with its position."""

    def __init__(
        self,
        cursors: CursorOperations,
        responses: CursorResponseWriter,
        req: falcon.asgi.Request,
        queue: str,
        cursor: str,
        *,
        after: str | None,
        limit: int,
    ) -> None:
        """Begin behind `after`, or behind what was acknowledged."""
        self._cursors = cursors
        self._responses = responses
        self._req = req
        self._queue = queue
        self._cursor = cursor
        self._after = after
        self._limit = limit

    async def read(self) -> bytes:
        """See `Source`."""
        project = self._req.context.caller.project
        reading = await self._cursors.read(
            project, self._queue, self._cursor, after=self._after, limit=self._limit
        )
        messages = self._responses.messages(self._req, self._queue, reading)
        self._after = ids.position(*reading.end, reading.tag)
        return b"".join(event(each, event_id=each["position"]) for each in messages)
