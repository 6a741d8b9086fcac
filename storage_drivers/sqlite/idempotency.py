"""The answers of writes that carried a key, kept in the transaction of the write.

PERF: on the connection itself, so new messages that wait to be inserted go on waiting.
"""

from __future__ import annotations

from queues.errors import IdempotencyKeyReused
from queues.model import Idempotency
from storage_drivers.sqlite.codec import pack_name
from storage_drivers.sqlite.layout import statements
from storage_drivers.sqlite.transaction import Transaction

_SQL = statements("idempotency")


def recall(
    transaction: Transaction, queue_id: int, idempotency: Idempotency | None, now_ms: int
) -> str | None:
    """Return the answer of the first write with this key, or None if this is the first.

    Raises: IdempotencyKeyReused when the first write was a different one.
    """
    if idempotency is None:
        return None
    arguments = (queue_id, pack_name(idempotency.key), now_ms)
    row = transaction.connection.execute(_SQL["recall"], arguments).fetchone()
    if row is None:
        return None
    fingerprint, answer = row
    if fingerprint != pack_name(idempotency.fingerprint):
        raise IdempotencyKeyReused("the key was used before for a different request")
    return str(answer)


def remember(
    transaction: Transaction,
    queue_id: int,
    idempotency: Idempotency | None,
    answer: str,
    now_ms: int,
) -> None:
    """Keep the answer for the window of the key, counted from now."""
    if idempotency is None:
        return
    key, fingerprint, window_ms = idempotency
    transaction.connection.execute(
        _SQL["remember"],
        (queue_id, pack_name(key), pack_name(fingerprint), now_ms + window_ms, answer),
    )
