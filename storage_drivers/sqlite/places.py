"""The place of a queue: the ids and the version that every call on its messages starts from."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from queues.model import Queue
from storage_drivers.sqlite.codec import pack_name
from storage_drivers.sqlite.layout import statements
from storage_drivers.sqlite.writer import Transaction

_SQL = statements("queues")


class Place(NamedTuple):
    """What a call on messages needs to know of their queue.

    Nothing in the bucket expires or comes due before `due_ms`.
    """

    queue_id: int
    bucket_id: int
    version: int
    due_ms: int


def locate(
    connection: sqlite3.Connection | Transaction, project: str, queue: str
) -> Place | None:
    """Return the place of the queue, or None if it does not exist."""
    names = (pack_name(project), pack_name(queue))
    row = connection.execute(_SQL["locate"], names).fetchone()
    return None if row is None else Place(*row)


def insert_queue(transaction: Transaction, project: str, queue: Queue) -> int:
    """Store a queue that does not exist yet and return the id of its bucket."""
    bucket_id: int = transaction.execute(_SQL["create_bucket"]).lastrowid  # type: ignore[assignment]
    names = (pack_name(project), pack_name(queue.name))
    transaction.execute(
        _SQL["create"], (*names, bucket_id, queue.version, queue.created_ms, queue.metadata)
    )
    return bucket_id
