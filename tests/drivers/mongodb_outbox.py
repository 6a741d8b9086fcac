"""Posts that leave a record in the outbox, and what is found there."""

from __future__ import annotations

from queues.model import Idempotency, NewMessage, Record, RecordKind
from queues.storage import outbox_key
from tests.conformance.handle import QueueHandle

#: Longer than a record is held back.
HELD_S = 60

VERSION = 7


async def post_and_tell(
    queue: QueueHandle, *messages: NewMessage, key: Idempotency | None = None
) -> list[int]:
    """Post the messages with a record that is due at once."""
    due_ms = queue.now_ms
    left = Record(RecordKind.OUTBOX, queue.queue, "", b"{}", VERSION, due_ms, due_ms + 600_000)
    seqs = await queue.storage.messages.post(
        queue.project,
        queue.queue,
        messages,
        queue_version=queue.version,
        idempotency=key,
        now_ms=queue.now_ms,
        outbox=left,
    )
    return list(seqs)


async def told(queue: QueueHandle) -> list[str]:
    """Return the keys of the records in the outbox."""
    found = await queue.storage.records.list(
        queue.project,
        RecordKind.OUTBOX,
        queue.queue,
        prefix="",
        marker="",
        limit=100,
        now_ms=queue.now_ms,
    )
    return [record.key for record in found]


async def take(queue: QueueHandle) -> list[str]:
    """Take what is due, and return the keys."""
    taken = await queue.storage.records.take(limit=100, lease_ms=1, now_ms=queue.now_ms)
    return [one.record.key for one in taken]


async def forget(queue: QueueHandle, key: str) -> None:
    """Remove a record, as whoever took it does in the end."""
    await queue.storage.records.delete(
        queue.project, RecordKind.OUTBOX, queue.queue, key, version=None, now_ms=queue.now_ms
    )


def keys(*seqs: int) -> list[str]:
    """Return the keys of the records of posts that begin with these sequences."""
    return [outbox_key(seq) for seq in seqs]
