"""Answers that go on and on: server-sent events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Protocol

import falcon
import falcon.asgi

from queues.errors import NuskuError
from queues.model import Media, Topic, TopicKind
from queues.operations.waiting import Bell, WaitingRoom
from transport import errors, media
from transport.attendance import ATTENDED, must_hurry, still_admitted, until_left
from transport.headers import EVENTS

#: So often something is sent, that both sides and what is between them see the other live.
HEARTBEAT_S = 15.0

#: A store that is away is asked again after this.
_RETRY_S = 1.0

_HEARTBEAT = b": \n\n"

_log = logging.getLogger("nusku.http")


class Source(Protocol):
    """What is streamed. Keeps in mind how far it has got."""

    async def read(self) -> bytes:
        """Return the events that there are next; nothing when there are none yet.

        Raises: NuskuError.
        """


class EventStreams:
    """Streams what happens in a queue, as long as whoever listens is there and may."""

    def __init__(self, waiting: WaitingRoom) -> None:
        """Hear in `waiting` of new messages."""
        self._waiting = waiting

    async def answer(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        source: Source,
    ) -> None:
        """Answer with the events of `source`; what is wrong from the start is an error.

        Ends with the credential, with the wait of the room, and where the source fails.
        """
        first = await source.read()
        resp.content_type = EVENTS
        resp.set_header("Cache-Control", "no-store")
        # Otherwise nginx keeps events until they fill a buffer.
        resp.set_header("X-Accel-Buffering", "no")
        resp.stream = self._events(req, queue, source, first)

    async def _events(
        self, req: falcon.asgi.Request, queue: str, source: Source, first: bytes
    ) -> AsyncIterator[bytes]:
        """Yield pieces of the stream; a next one only when the one before was taken."""
        topic = Topic(req.context.caller.project, TopicKind.QUEUE, queue)
        async with self._waiting.watching(topic) as bell:
            req.scope[ATTENDED] = True
            leaving = asyncio.create_task(until_left(req))
            leaving.add_done_callback(lambda _: bell.stop())
            try:
                yield first or _HEARTBEAT
                # PERF: a page may be megabytes, and a stream lasts for hours.
                del first
                async for piece in self._pieces(req, source, bell):
                    if leaving.done():
                        return
                    yield piece
                    if must_hurry(req):
                        return
            finally:
                leaving.cancel()

    async def _pieces(
        self, req: falcon.asgi.Request, source: Source, bell: Bell
    ) -> AsyncIterator[bytes]:
        piece = b""
        while not self._waiting.is_closed:
            try:
                # What was read is not read again, so it is kept until somebody can tell.
                piece = piece or await source.read()
                if not await still_admitted(req):
                    return
            except errors.AWAY as ex:
                _log.warning("a stream waits for the store: %s", ex)
                await asyncio.sleep(_RETRY_S)
                yield _HEARTBEAT
                continue
            except NuskuError as ex:
                yield failure(ex)
                return
            if piece:
                yield piece
                piece = b""
            elif not (await bell.heard(HEARTBEAT_S) or self._waiting.is_closed):
                yield _HEARTBEAT


def event(data: object, *, event_id: str) -> bytes:
    """Return an event with a document in JSON, which may come in several lines."""
    return b"id: %b\n%b\n" % (event_id.encode(), _data(data))


def failure(ex: NuskuError) -> bytes:
    """Return the event that ends a stream: what the error would be over HTTP."""
    _, title, text, code = errors.described(ex)
    document = {"title": title, "description": text, "code": code, **errors.more_of(ex)}
    return b"event: error\n%b\n" % _data(document)


def _data(document: object) -> bytes:
    # NOTE: bodies are shown as they came, so there may be any kind of line ends in them.
    lines = media.encode(document, Media.JSON).splitlines()
    return b"".join(b"data: %b\n" % line for line in lines)
