"""Reading a queue message by message, without a gap that nobody notices.

NOTE: messages are numbered without gaps (`queues/model.py`), so two neighbours whose numbers
are none show that something between them is gone, whatever became of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from queues import ids
from queues.errors import CursorNotFound, CursorTooOld
from queues.model import Message, Position
from queues.storage import Storage

#: A look goes past so many stretches of expired messages that are not yet cleared away.
_STRETCHES = 10


class Reading(NamedTuple):
    """What a reader gets: messages as they stood at `now_ms`, and the place before them."""

    messages: Sequence[Message]
    start: Position
    tag: str
    now_ms: int

    @property
    def end(self) -> Position:
        """The place behind the messages."""
        return place_of(self.messages[-1]) if self.messages else self.start


def place_of(message: Message) -> Position:
    """Return the place of a message."""
    return Position(message.seq, message.number)


def place_before(message: Message) -> Position:
    """Return the place from which a reader finds this message next."""
    return Position(message.seq - 1, message.number - 1)


async def behind(
    storage: Storage, project: str, queue: str, start: Position, *, limit: int, now_ms: int
) -> Sequence[Message] | None:
    """Return the next messages that there are, in any state; None if it was not found out."""
    after_seq: int | None = start.seq
    for _ in range(_STRETCHES):
        page = await storage.messages.list(
            project,
            queue,
            after_seq=after_seq or 0,
            limit=limit,
            include_claimed=True,
            include_delayed=True,
            exclude_client_id=None,
            now_ms=now_ms,
        )
        after_seq = page.next_seq
        if page.messages or after_seq is None:
            return page.messages
    return None


async def read(
    storage: Storage, project: str, queue: str, start: Position, *, limit: int, now_ms: int
) -> Reading | None:
    """Return what a reader at `start` is to see now; None if that is nothing yet.

    Ends before a message whose delay is running, and before a gap.

    Raises: CursorTooOld when there is a gap right at the start; CursorNotFound when the queue
    was created anew.
    """
    tag = ids.queue_tag(project, queue)
    messages = await behind(storage, project, queue, start, limit=limit, now_ms=now_ms)
    if not messages:
        tail = await storage.messages.tail(project, queue)
        if tail.number <= start.number:
            return None
        # NOTE: what came between the two looks is not gone.
        messages = await behind(storage, project, queue, start, limit=limit, now_ms=now_ms)
        if messages is None:
            return None
        if not messages:
            raise _too_old(start, tail, tag)
    if messages[0].number != start.number + 1:
        raise _too_old(start, place_before(messages[0]), tag)
    shown = _without_delay_or_gap(messages, now_ms)
    return Reading(shown, start, tag, now_ms) if shown else None


def _without_delay_or_gap(messages: Sequence[Message], now_ms: int) -> Sequence[Message]:
    number = messages[0].number
    for index, message in enumerate(messages):
        is_delayed = message.claim_id is None and message.visible_ms > now_ms
        if is_delayed or message.number != number + index:
            return messages[:index]
    return messages


def _too_old(start: Position, oldest: Position, tag: str) -> CursorTooOld | CursorNotFound:
    lost = oldest.number - start.number
    if lost <= 0:
        return CursorNotFound("The queue was created anew.")
    return CursorTooOld(
        f"{lost} messages behind the position are gone. To go on, acknowledge the position "
        "in oldest.",
        oldest=ids.position(*oldest, tag),
        lost=lost,
    )
