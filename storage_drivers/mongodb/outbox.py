"""Outbox records: stored before the messages that they tell of, and due after them.

Whoever takes a record looks for its messages, and must not do so too early, or an
acknowledged message would go unnoticed. So the record is held back first: it is due only
when its writer can be no longer at work. Once the messages can be seen, it is due when its
post wants it to be. A writer that dies in between leaves a record that is late, or one
without messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pymongo import UpdateOne

from queues.model import Record
from queues.storage import outbox_key
from storage_drivers.mongodb import codec, sequence
from storage_drivers.mongodb.errors import ignoring_duplicates
from storage_drivers.mongodb.layout import Database, Document, record_id


class Outbox(NamedTuple):
    """The record that a post leaves behind, and whose it is."""

    project: str
    record: Record

    def of(self, first: int) -> Outbox:
        """Return it for the post whose first sequence is `first`."""
        return self._replace(record=self.record._replace(key=outbox_key(first)))

    @property
    def document_id(self) -> str:
        """Return the `_id` of the record."""
        return record_id(self.project, self.record.kind, self.record.scope, self.record.key)

    def document(self, due_ms: int | None) -> Document:
        """Return the document of the record, due at another time."""
        record = self.record._replace(due_ms=due_ms)
        fields = codec.record_fields(record)
        return {"_id": self.document_id, "version": record.version, **fields}


async def hold(db: Database, outboxes: Sequence[Outbox], *, now_ms: int) -> None:
    """Store the records, held back. One that is there already is left as it is."""
    if not outboxes:
        return
    held_ms = now_ms + sequence.patience_ms(db)
    docs = [
        outbox.document(None if outbox.record.due_ms is None else held_ms)
        for outbox in outboxes
    ]
    with ignoring_duplicates():
        await db.records.insert_many(docs, ordered=False)


async def release(db: Database, outboxes: Sequence[Outbox]) -> None:
    """Make the records due, as their messages can be seen by now."""
    changes = [
        UpdateOne(
            {"_id": outbox.document_id, "version": outbox.record.version},
            {"$set": {"due": outbox.record.due_ms}},
        )
        for outbox in outboxes
        if outbox.record.due_ms is not None
    ]
    if changes:
        await db.records.bulk_write(changes, ordered=False)


async def withdraw(db: Database, outboxes: Sequence[Outbox]) -> None:
    """Remove the records of messages that will never be stored under these sequences."""
    if outboxes:
        ids = [outbox.document_id for outbox in outboxes]
        await db.records.delete_many({"_id": {"$in": ids}})
