"""Queues and their metadata in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from queues.errors import QueueChanged, QueueNotFound
from queues.model import Queue, Stats
from queues.storage import QueueStore
from storage_drivers.sqlite.codec import pack_name, to_queue
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.layout import statements
from storage_drivers.sqlite.places import Place
from storage_drivers.sqlite.stats import read_stats
from storage_drivers.sqlite.sweep import read_tidily, tidy_queue
from storage_drivers.sqlite.transaction import Transaction

_SQL = statements("queues")


class Queues(QueueStore):
    """The contract's view on queues."""

    def __init__(self, writer: Lane[Transaction], readers: Lane[sqlite3.Connection]) -> None:
        self._writer = writer
        self._readers = readers

    async def create(
        self, project: str, queue: str, *, metadata: bytes, version: int, now_ms: int
    ) -> tuple[Queue, bool]:
        """See the contract."""
        return await self._writer.run(
            partial(
                _create,
                project=project,
                queue=queue,
                metadata=metadata,
                version=version,
                now_ms=now_ms,
            )
        )

    async def get(self, project: str, queue: str) -> Queue | None:
        """See the contract."""
        return await self._readers.run(partial(_get, project=project, queue=queue))

    async def update(
        self,
        project: str,
        queue: str,
        *,
        metadata: bytes,
        expected_version: int,
        version: int,
    ) -> Queue:
        """See the contract."""
        return await self._writer.run(
            partial(
                _update,
                project=project,
                queue=queue,
                metadata=metadata,
                expected_version=expected_version,
                version=version,
            )
        )

    async def delete(self, project: str, queue: str, *, now_ms: int) -> None:
        """See the contract."""
        await self._writer.run(partial(_delete, project=project, queue=queue))

    async def purge(self, project: str, queue: str, *, now_ms: int) -> None:
        """See the contract."""
        await self._writer.run(partial(_purge, project=project, queue=queue))

    async def list(self, project: str, *, marker: str, limit: int) -> Sequence[Queue]:
        """See the contract."""
        # The smallest name after a marker is the marker and a NUL.
        first = pack_name(marker) + b"\0" if marker else b""
        arguments = (pack_name(project), first, limit)
        return await self._readers.run(
            lambda reader: [to_queue(row) for row in reader.execute(_SQL["list"], arguments)]
        )

    async def count(self, project: str) -> int:
        """See the contract."""
        arguments = (pack_name(project),)
        return await self._readers.run(
            lambda reader: int(reader.execute(_SQL["count"], arguments).fetchone()[0])
        )

    async def stats(self, project: str, queue: str, *, now_ms: int) -> Stats:
        """See the contract."""
        return await read_tidily(
            self._readers,
            self._writer,
            partial(read_stats, project=project, queue=queue, now_ms=now_ms),
            partial(tidy_queue, project=project, queue=queue, now_ms=now_ms),
        )


def _get(
    connection: sqlite3.Connection | Transaction, project: str, queue: str
) -> Queue | None:
    names = (pack_name(project), pack_name(queue))
    row = connection.execute(_SQL["get"], names).fetchone()
    return None if row is None else to_queue(row)


def _create(
    transaction: Transaction,
    *,
    project: str,
    queue: str,
    metadata: bytes,
    version: int,
    now_ms: int,
) -> tuple[Queue, bool]:
    existing = _get(transaction, project, queue)
    if existing is not None:
        return existing, False
    created = Queue(queue, metadata, version, now_ms)
    insert_queue(transaction, project, created)
    return created, True


def insert_queue(transaction: Transaction, project: str, queue: Queue) -> Place:
    """Store a queue that does not exist yet and return its place."""
    # NOTE: the tail of a new queue is where the clock is, so it is above the former life of the
    # queue and does not tell when others were last posted to.
    last_seq = transaction.next_sequences(0, queue.created_ms).start - 1
    bucket_id = transaction.execute(_SQL["create_bucket"], (last_seq,)).lastrowid
    names = (pack_name(project), pack_name(queue.name))
    transaction.execute(
        _SQL["create"], (*names, bucket_id, queue.version, queue.created_ms, queue.metadata)
    )
    return transaction.locate(project, queue.name)  # type: ignore[return-value]


def _update(
    transaction: Transaction,
    *,
    project: str,
    queue: str,
    metadata: bytes,
    expected_version: int,
    version: int,
) -> Queue:
    names = (pack_name(project), pack_name(queue))
    arguments = (metadata, version, *names, expected_version)
    transaction.forget_places()
    changed = transaction.execute(_SQL["update"], arguments).rowcount
    stored = _get(transaction, project, queue)
    if stored is None:
        raise QueueNotFound("the queue does not exist")
    if not changed:
        raise QueueChanged("the queue is at another version")
    return stored


def _delete(transaction: Transaction, *, project: str, queue: str) -> None:
    place = transaction.locate(project, queue)
    if place is not None:
        transaction.forget_places()
        transaction.execute(_SQL["delete"], (place.queue_id,))
        _discard(transaction, place.bucket_id)


def _purge(transaction: Transaction, *, project: str, queue: str) -> None:
    place = transaction.locate(project, queue)
    if place is not None:
        transaction.forget_places()
        bucket_id = transaction.execute(_SQL["follow_bucket"], (place.bucket_id,)).lastrowid
        transaction.execute(_SQL["replace_bucket"], (bucket_id, place.queue_id))
        _discard(transaction, place.bucket_id)


def _discard(transaction: Transaction, bucket_id: int) -> None:
    transaction.execute(_SQL["drop_bucket"], (bucket_id,))
    transaction.execute(_SQL["discard_bucket"], (bucket_id,))
