"""Messages outside of claims in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Literal

from queues.errors import MessageSealed, QueueChanged
from queues.model import (
    Idempotency,
    Media,
    Message,
    MessagePage,
    NewMessage,
    Position,
    Record,
    Refusal,
)
from queues.storage import MessageStore, outbox_key
from storage_drivers.sqlite.codec import (
    new_values,
    pack_claim_id,
    pack_name,
    pack_sequences,
    to_message,
    unpack_sequences,
)
from storage_drivers.sqlite.idempotency import recall, remember
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.layout import CLAIMED, DELAYED, INLINE_BODY_BYTES, statements
from storage_drivers.sqlite.listing import Listing, read_page
from storage_drivers.sqlite.places import locate
from storage_drivers.sqlite.records import create_record
from storage_drivers.sqlite.removal import remove
from storage_drivers.sqlite.sweep import (
    UNTIDY,
    Untidy,
    read_tidily,
    tidy_first,
    tidy_queue,
    write_tidily,
)
from storage_drivers.sqlite.transaction import Transaction

_SQL = statements("messages")
_QUEUES = statements("queues")


class Messages(MessageStore):
    """The contract's view on messages."""

    def __init__(self, writer: Lane[Transaction], readers: Lane[sqlite3.Connection]) -> None:
        self._writer = writer
        self._readers = readers

    async def post(
        self,
        project: str,
        queue: str,
        messages: Sequence[NewMessage],
        *,
        queue_version: int,
        idempotency: Idempotency | None,
        now_ms: int,
        outbox: Record | None = None,
    ) -> Sequence[int]:
        """See the contract."""
        return await self._writer.run(
            lambda transaction: _post(
                transaction,
                project,
                queue,
                messages,
                queue_version,
                idempotency,
                now_ms,
                outbox,
            )
        )

    async def list(
        self,
        project: str,
        queue: str,
        *,
        after_seq: int,
        limit: int,
        include_claimed: bool,
        include_delayed: bool,
        exclude_client_id: str | None,
        now_ms: int,
    ) -> MessagePage:
        """See the contract."""
        listing = Listing(
            after_seq, limit, include_claimed, include_delayed, exclude_client_id, now_ms
        )
        return await read_tidily(
            self._readers,
            self._writer,
            partial(read_page, project=project, queue=queue, listing=listing),
            partial(tidy_queue, project=project, queue=queue, now_ms=now_ms),
        )

    async def get(
        self, project: str, queue: str, seqs: Sequence[int], *, now_ms: int
    ) -> Sequence[Message]:
        """See the contract."""
        return await self._readers.run(
            lambda connection: _get(connection, project, queue, seqs, now_ms)
        )

    async def delete(
        self,
        project: str,
        queue: str,
        seqs: Sequence[int],
        *,
        claim_ids: Collection[str] | None,
        now_ms: int,
    ) -> Mapping[int, Refusal]:
        """See the contract."""
        return await self._writer.run(
            lambda transaction: _delete(transaction, project, queue, seqs, claim_ids, now_ms)
        )

    async def pop(
        self, project: str, queue: str, *, limit: int, now_ms: int
    ) -> Sequence[Message]:
        """See the contract."""
        popped = await write_tidily(
            self._writer, lambda transaction: _pop(transaction, project, queue, limit, now_ms)
        )
        if popped is None:
            raise MessageSealed(f"the next message of queue {queue} is encrypted")
        return popped

    async def tail(self, project: str, queue: str) -> Position:
        """See the contract."""
        return await self._readers.run(partial(_tail, project=project, queue=queue))

    async def next_due(self, project: str, queue: str, *, now_ms: int) -> int | None:
        """See the contract."""
        return await self._readers.run(partial(_next_due, project=project, queue=queue))


def _post(
    transaction: Transaction,
    project: str,
    queue: str,
    messages: Sequence[NewMessage],
    queue_version: int,
    idempotency: Idempotency | None,
    now_ms: int,
    outbox: Record | None,
) -> Sequence[int]:
    place = transaction.locate(project, queue)
    if place is not None:
        answer = recall(transaction, place.queue_id, idempotency, now_ms)
        if answer is not None:
            return unpack_sequences(answer)
    if place is None or place.version != queue_version:
        raise QueueChanged("the queue is at another version")
    seqs = transaction.next_sequences(len(messages), now_ms)
    numbers = place.number(seqs)
    values, due_ms = new_values(seqs, numbers, place.bucket_id, messages, now_ms)
    transaction.insert(values)
    body_bytes = 0
    for seq, message in zip(seqs, messages, strict=True):
        size = len(message.body)
        body_bytes += size
        if size > INLINE_BODY_BYTES:
            transaction.execute(_SQL["insert_body"], (seq, message.body))
    place.count(total=len(seqs), body_bytes=body_bytes)
    place.note_due(due_ms)
    if idempotency is not None:
        remember(transaction, place.queue_id, idempotency, pack_sequences(seqs), now_ms)
    if outbox is not None:
        record = outbox._replace(key=outbox_key(seqs[0]))
        create_record(transaction, project, record, now_ms)
    return seqs


def _get(
    connection: sqlite3.Connection, project: str, queue: str, seqs: Sequence[int], now_ms: int
) -> Sequence[Message]:
    place = locate(connection, project, queue)
    if place is None:
        return []
    return [
        to_message(row, now_ms)
        for seq in seqs
        for row in connection.execute(_SQL["get"], (seq, place.bucket_id, now_ms))
    ]


def _delete(
    transaction: Transaction,
    project: str,
    queue: str,
    seqs: Sequence[int],
    claim_ids: Collection[str] | None,
    now_ms: int,
) -> Mapping[int, Refusal]:
    place = transaction.locate(project, queue)
    if place is None:
        return {}
    packed = None if claim_ids is None else {pack_claim_id(claim_id) for claim_id in claim_ids}
    refused: dict[int, Refusal] = {}
    allowed: list[int] = []
    long: list[int] = []
    claimed = removed_bytes = 0
    once = seqs if len(seqs) == 1 else list(dict.fromkeys(seqs))
    states = transaction.execute_for(once, _SQL["states"], (place.bucket_id, now_ms))
    for seq, state, claim_id, visible_ms, is_long, body_bytes in states:
        holder = claim_id if visible_ms is not None and visible_ms > now_ms else None
        refusal = _refusal(holder, packed)
        if refusal is not None:
            refused[seq] = refusal
            continue
        allowed.append(seq)
        claimed += state == CLAIMED
        removed_bytes += body_bytes
        if is_long:
            long.append(seq)
    if allowed:
        remove(transaction, allowed, long)
        place.count(total=-len(allowed), claimed=-claimed, body_bytes=-removed_bytes)
    return refused


def _refusal(holder: bytes | None, claim_ids: Collection[bytes] | None) -> Refusal | None:
    """Say why a message may not be deleted; `holder` is the live claim on it, if any."""
    if claim_ids is None or holder in claim_ids:
        return None
    if holder is not None:
        return Refusal.CLAIMED
    return Refusal.NOT_CLAIMED if claim_ids else None


def _pop(
    transaction: Transaction, project: str, queue: str, limit: int, now_ms: int
) -> Sequence[Message] | Literal[Untidy.UNTIDY] | None:
    """Pop, or return None when the first message is sealed: an error would undo the tidying."""
    place = transaction.locate(project, queue)
    if place is None:
        return []
    if tidy_first(transaction, place, now_ms):
        return UNTIDY
    rows = transaction.execute(_SQL["ready"], (place.bucket_id, now_ms, limit)).fetchall()
    ready = [to_message(row, now_ms) for row in rows]
    messages = list(takewhile(lambda message: message.media is not Media.SEALED, ready))
    if ready and not messages:
        return None
    long = [message.seq for message in messages if len(message.body) > INLINE_BODY_BYTES]
    remove(transaction, [message.seq for message in messages], long)
    body_bytes = sum(len(message.body) for message in messages)
    place.count(total=-len(messages), body_bytes=-body_bytes)
    return messages


def _tail(connection: sqlite3.Connection, *, project: str, queue: str) -> Position:
    names = (pack_name(project), pack_name(queue))
    row = connection.execute(_QUEUES["tail"], names).fetchone()
    return Position(0, 0) if row is None else Position(*row)


def _next_due(connection: sqlite3.Connection, *, project: str, queue: str) -> int | None:
    place = locate(connection, project, queue)
    if place is None:
        return None
    due = [
        connection.execute(_SQL["next_due"], (place.bucket_id, state)).fetchone()[0]
        for state in (DELAYED, CLAIMED)
    ]
    return min((due_ms for due_ms in due if due_ms is not None), default=None)
