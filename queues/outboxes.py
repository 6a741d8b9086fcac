"""What an outbox record holds: the messages of one post, for those who are notified of it.

One line of JSON, then the bodies one after the other, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from queues.model import Media, NewMessage, Record
from queues.records import legible


class Posted(NamedTuple):
    """A message as it was posted, `number` of its post.

    `delay_s` is None in a queue that does not delay its messages. `due_ms` is when it may be
    seen.
    """

    number: int
    body: bytes
    media: Media
    ttl_s: int
    delay_s: int | None
    posted_ms: int
    due_ms: int
    client_id: str


def encode(messages: Sequence[NewMessage], *, delayed: bool, now_ms: int) -> bytes:
    """Return the document of a post at `now_ms`; `delayed`: to a queue that delays."""
    head = {
        "posted_ms": now_ms,
        "client_id": messages[0].client_id,
        "delayed": delayed,
        "messages": [
            (message.ttl_s, message.delay_ms, message.media, len(message.body))
            for message in messages
        ],
    }
    bodies = b"".join(message.body for message in messages)
    return json.dumps(head, separators=(",", ":")).encode() + b"\n" + bodies


class Part(NamedTuple):
    """Some messages of a post of `size` messages."""

    messages: list[Posted]
    size: int


def read(record: Record, *, start: int, limit: int) -> Part:
    """Return up to `limit` messages of a record, from number `start`.

    Raises: StorageUnavailable for one that is encrypted, on a server without keys.
    """
    line, _, bodies = legible(record).partition(b"\n")
    head = json.loads(line)
    messages, end = [], 0
    for index, (ttl_s, delay_ms, media, size) in enumerate(head["messages"]):
        begin, end = end, end + size
        if index < start:
            continue
        if index >= start + limit:
            break
        messages.append(
            Posted(
                index,
                bodies[begin:end],
                Media(media),
                ttl_s,
                delay_ms // 1000 if head["delayed"] else None,
                head["posted_ms"],
                head["posted_ms"] + delay_ms,
                head["client_id"],
            )
        )
    return Part(messages, len(head["messages"]))
