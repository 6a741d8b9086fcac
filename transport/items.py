"""How messages are shown: as Zaqar's clients know them, popped, and in full detail.

Every `href` is a path that starts with `/v2/`: clients put the endpoint in front.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from queues import ids
from queues.model import DeadLetter, Media, Message
from transport import media

PREFIX = "/v2"
#: Agents in old images still post here; there is nothing else.
OLD_PREFIX = "/v1.1"


class View(NamedTuple):
    """How messages are looked at: the tag of their queue, the time, the encoding."""

    tag: str
    now_ms: int
    media: Media


class Item(msgspec.Struct, gc=False):
    """A message as Zaqar's clients know it. More keys would be an error to them."""

    id: str
    href: str
    ttl: int
    age: int
    body: msgspec.Raw
    checksum: str | msgspec.UnsetType = msgspec.UNSET


class Popped(msgspec.Struct, gc=False):
    """A message that is gone from the queue, and therefore has no address."""

    id: str
    age: int
    ttl: int
    body: msgspec.Raw
    claim_id: str | None
    claim_count: int
    checksum: str | msgspec.UnsetType = msgspec.UNSET


class Detailed(msgspec.Struct, gc=False):
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

    def items(self, queue: str, messages: Sequence[Message], view: View) -> list[Item]:
        """Return messages as Zaqar's clients know them."""
        above = messages_href(queue)
        shown = [
            Item(
                message_id,
                _href(above, message_id, message.claim_id),
                message.ttl_s,
                age_s(message, view.now_ms),
                media.as_media(message.body, message.media, view.media),
            )
            for message_id, message in zip(_ids(messages, view), messages, strict=True)
        ]
        self._add_checksums(shown, messages)
        return shown

    def popped(self, messages: Sequence[Message], view: View) -> list[Popped]:
        """Return messages that were removed."""
        shown = [
            Popped(
                message_id,
                age_s(message, view.now_ms),
                message.ttl_s,
                media.as_media(message.body, message.media, view.media),
                message.claim_id,
                message.claim_count,
            )
            for message_id, message in zip(_ids(messages, view), messages, strict=True)
        ]
        self._add_checksums(shown, messages)
        return shown

    def detailed(
        self, project: str, queue: str, messages: Sequence[Message], view: View
    ) -> list[Detailed]:
        """Return messages with everything that Nusku knows of them."""
        above = messages_href(queue)
        shown = [
            Detailed(
                message_id,
                _href(above, message_id, message.claim_id),
                message.ttl_s,
                age_s(message, view.now_ms),
                media.as_media(message.body, message.media, view.media),
                _state(message),
                message.claim_id,
                message.claim_count,
                message.dead_letter and _origin(project, message.dead_letter),
            )
            for message_id, message in zip(_ids(messages, view), messages, strict=True)
        ]
        self._add_checksums(shown, messages)
        return shown

    def _add_checksums(
        self, shown: Sequence[Item | Popped | Detailed], messages: Sequence[Message]
    ) -> None:
        if self._checksums:
            for one, message in zip(shown, messages, strict=True):
                one.checksum = media.checksum(message.body, message.media) or msgspec.UNSET


def _ids(messages: Sequence[Message], view: View) -> list[str]:
    return ids.message_ids([message.seq for message in messages], view.tag)


def _href(above: str, message_id: str, claim_id: str | None) -> str:
    """Return the address of a message; clients cut the claim id off behind the last `=`."""
    if claim_id is None:
        return f"{above}/{message_id}"
    return f"{above}/{message_id}?claim_id={claim_id}"


def messages_href(queue: str, prefix: str = PREFIX) -> str:
    """Return the address of all messages of a queue."""
    return f"{prefix}/queues/{queue}/messages"


def message_href(queue: str, message_id: str) -> str:
    """Return the address of a message that nobody has claimed."""
    return f"{messages_href(queue)}/{message_id}"


def age_s(message: Message, now_ms: int) -> int:
    """Return the seconds since the message was posted."""
    age_ms = now_ms - message.posted_ms
    # Clocks of several servers differ a little; an age is never negative.
    return age_ms // 1000 if age_ms > 0 else 0


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
