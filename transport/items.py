"""How messages are shown: as Zaqar's clients know them, popped, and in full detail.

Every `href` is a path that starts with `/v2/`: clients put the endpoint in front.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from queues import ids
from queues.model import DeadLetter, Media, Message
from transport import media

PREFIX = "/v2"


class View(NamedTuple):
    """How messages are looked at: the tag of their queue, the time, the encoding."""

    tag: str
    now_ms: int
    media: Media


class Item(msgspec.Struct):
    """A message as Zaqar's clients know it. More keys would be an error to them."""

    id: str
    href: str
    ttl: int
    age: int
    body: msgspec.Raw
    checksum: str | msgspec.UnsetType = msgspec.UNSET


class Popped(msgspec.Struct):
    """A message that is gone from the queue, and therefore has no address."""

    id: str
    age: int
    ttl: int
    body: msgspec.Raw
    claim_id: str | None
    claim_count: int
    checksum: str | msgspec.UnsetType = msgspec.UNSET


class Detailed(msgspec.Struct):
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


class ItemWriter:
    """Makes documents out of messages."""

    def __init__(self, *, checksums: bool) -> None:
        """Add Zaqar's MD5 checksum to each message if `checksums`."""
        self._checksums = checksums

    def item(self, queue: str, message: Message, view: View) -> Item:
        """Return the message as Zaqar's clients know it."""
        message_id = ids.message_id(message.seq, view.tag)
        return Item(
            message_id,
            message_href(queue, message_id, message.claim_id),
            message.ttl_s,
            age_s(message, view.now_ms),
            media.as_media(message.body, message.media, view.media),
            self._checksum(message),
        )

    def popped(self, message: Message, view: View) -> Popped:
        """Return a message that was removed."""
        return Popped(
            ids.message_id(message.seq, view.tag),
            age_s(message, view.now_ms),
            message.ttl_s,
            media.as_media(message.body, message.media, view.media),
            message.claim_id,
            message.claim_count,
            self._checksum(message),
        )

    def detailed(self, project: str, queue: str, message: Message, view: View) -> Detailed:
        """Return the message with everything that Nusku knows of it."""
        message_id = ids.message_id(message.seq, view.tag)
        return Detailed(
            message_id,
            message_href(queue, message_id, message.claim_id),
            message.ttl_s,
            age_s(message, view.now_ms),
            media.as_media(message.body, message.media, view.media),
            _state(message),
            message.claim_id,
            message.claim_count,
            message.dead_letter and _origin(project, message.dead_letter),
            self._checksum(message),
        )

    def _checksum(self, message: Message) -> str | msgspec.UnsetType:
        if not self._checksums:
            return msgspec.UNSET
        return media.checksum(message.body, message.media) or msgspec.UNSET


def message_href(queue: str, message_id: str, claim_id: str | None = None) -> str:
    """Return the address of a message. Clients cut the claim id off behind the last `=`."""
    href = f"{PREFIX}/queues/{queue}/messages/{message_id}"
    return href if claim_id is None else f"{href}?claim_id={claim_id}"


def age_s(message: Message, now_ms: int) -> int:
    """Return the seconds since the message was posted."""
    # Clocks of several servers differ a little; an age is never negative.
    return max(0, now_ms - message.posted_ms) // 1000


def timestamp(time_ms: int) -> str:
    """Return a time as Zaqar writes it: ISO 8601, UTC, whole seconds."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
        "moved_at": timestamp(dead_letter.moved_ms),
    }
