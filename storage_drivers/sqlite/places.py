"""The place of a queue: the ids and the version that every call on its messages starts from."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from storage_drivers.sqlite.codec import pack_name
from storage_drivers.sqlite.layout import statements

_SQL = statements("queues")


@dataclass(slots=True, eq=False)
class Place:
    """What a call on messages needs to know of their queue.

    Nothing in the bucket expires or comes due before `due_ms`. `last_number` is that of
    the last message of the queue. The rest is what the writes of a transaction did to the
    bucket and did not store yet, see `Transaction.settle`; `last_seq` is 0 without a new
    message.
    """

    queue_id: int
    bucket_id: int
    version: int
    due_ms: int
    last_number: int = 0
    last_seq: int = 0
    total_change: int = 0
    claimed_change: int = 0
    bytes_change: int = 0
    is_due_sooner: bool = False

    def count(self, *, total: int = 0, claimed: int = 0, body_bytes: int = 0) -> None:
        """Add to the numbers of messages, of those in state claimed, and of their bytes."""
        self.total_change += total
        self.claimed_change += claimed
        self.bytes_change += body_bytes

    def number(self, seqs: range) -> range:
        """Return the numbers of new messages with these sequences."""
        first = self.last_number + 1
        self.last_number = last = self.last_number + len(seqs)
        self.last_seq = seqs.stop - 1
        return range(first, last + 1)

    def note_due(self, due_ms: int) -> None:
        """Take note that a message expires or comes due at this time."""
        if due_ms < self.due_ms:
            self.due_ms = due_ms
            self.is_due_sooner = True


def locate(connection: sqlite3.Connection, project: str, queue: str) -> Place | None:
    """Return the place of the queue, or None if it does not exist."""
    names = (pack_name(project), pack_name(queue))
    row = connection.execute(_SQL["locate"], names).fetchone()
    return None if row is None else Place(*row)
