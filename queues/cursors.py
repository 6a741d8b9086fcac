"""What the record of a cursor holds: the place of a reader in a queue."""

from __future__ import annotations

import json
from dataclasses import dataclass

from queues.model import Position


@dataclass(frozen=True, slots=True)
class Cursor:
    """A cursor: everything up to `place` is acknowledged.

    `queue_ms` is when its queue was created. A cursor ends with that queue: if there is
    another one of that name, it has no such cursor.
    """

    place: Position
    created_ms: int
    queue_ms: int


def encode(cursor: Cursor) -> bytes:
    """Return the document of a cursor."""
    document = {
        "seq": cursor.place.seq,
        "number": cursor.place.number,
        "created_ms": cursor.created_ms,
        "queue_ms": cursor.queue_ms,
    }
    return json.dumps(document).encode()


def decode(document: bytes) -> Cursor:
    """Return the cursor in a document."""
    stored = json.loads(document)
    place = Position(stored["seq"], stored["number"])
    return Cursor(place, stored["created_ms"], stored["queue_ms"])
