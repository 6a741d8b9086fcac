"""One subscription of a socket: reads its queue in order, and sends what it finds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from queues import ids
from queues.errors import CursorNotFound, CursorTooOld
from queues.model import Media, Message
from queues.operations import Operations
from queues.operations.readings import place_of
from transport import media
from transport.socket import frames
from transport.socket.frames import Payload


class Terms(NamedTuple):
    """What is wanted: of which queue, from where on, and how it is shown.

    It begins behind the message `marker`, at the place of a `cursor`, or now. With a cursor,
    each notification has its position, and what is missing is told.
    """

    project: str
    queue: str
    media: Media
    marker: str | None
    cursor: str | None
    shows_ids: bool


class Push:
    """Sends what is posted to a queue, and knows how far it has got."""

    def __init__(
        self,
        push_id: str,
        terms: Terms,
        operations: Operations,
        send: Callable[[Payload], Awaitable[None]],
        *,
        page: int,
    ) -> None:
        """Send by `send`, at most `page` messages at a time."""
        self.id = push_id
        self.terms = terms
        self.task: asyncio.Task[None] | None = None
        self._following = operations.following
        self._cursors = operations.cursors
        self._send = send
        self._page = page
        self._tag = ids.queue_tag(terms.project, terms.queue)
        self._after_seq = 0
        self._position: str | None = None

    async def find_start(self) -> None:
        """Find out where to begin.

        Raises: InvalidRequest for a marker of another queue; CursorNotFound.
        """
        project, queue, _, marker, cursor, _ = self.terms
        if cursor is None:
            self._after_seq = await self._following.start(project, queue, marker)
        else:
            start = await self._cursors.start(project, queue, cursor, after=None)
            self._position = ids.position(*start, self._tag)

    async def read(self) -> Sequence[Message] | None:
        """Return what is to be sent next; None when there is nothing yet.

        Raises: CursorTooOld, CursorNotFound.
        """
        project, queue, cursor = self.terms.project, self.terms.queue, self.terms.cursor
        if cursor is None:
            page = await self._following.read(project, queue, self._after_seq)
            if page.next_seq is not None and not page.messages:
                self._after_seq = page.next_seq
            return None if page.next_seq is None else page.messages
        reading = await self._cursors.read(
            project, queue, cursor, after=self._position, limit=self._page
        )
        return reading.messages or None

    async def send(self, messages: Sequence[Message]) -> None:
        """Send what was read; whatever was sent is not sent again."""
        for message in messages:
            await self._send(frames.pushed(self._notification(message), self.terms.media))
            self._after_seq = message.seq
            self._position = ids.position(*place_of(message), self._tag)

    async def tell_lost(self, ex: CursorTooOld) -> None:
        """Say how many messages are gone that were not sent, and go on behind them."""
        await self._tell("Lost", {"lost": ex.lost, "position": ex.oldest})
        self._position = ex.oldest

    async def tell_end(self, ex: CursorNotFound) -> None:
        """Say why nothing more will come."""
        await self._tell("Ended", {"error": str(ex)})

    async def _tell(self, kind: str, what: dict[str, Any]) -> None:
        said = {"queue_name": self.terms.queue, "subscription_id": self.id, **what}
        await self._send(frames.pushed({**said, "Message_Type": kind}, self.terms.media))

    def _notification(self, message: Message) -> dict[str, Any]:
        """Return Zaqar's notification; clients compare it, so what is ours comes on demand."""
        shown = {
            "body": media.as_media(message.body, message.media, self.terms.media),
            "ttl": message.ttl_s,
            "queue_name": self.terms.queue,
            "Message_Type": "Notification",
        }
        if self.terms.shows_ids:
            shown["id"] = ids.message_id(message.seq, self._tag)
        if self.terms.cursor is not None:
            shown["position"] = ids.position(*place_of(message), self._tag)
        return shown
