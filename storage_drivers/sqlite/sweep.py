"""Tidying: remove what expired, make ready what is due, forget what was deleted.

No answer depends on it, since every statement compares times itself. It keeps the cost of
the others flat: a call first has the queue tidied, in bounded steps, when it would otherwise
wade through more than one step of messages that expired or came due unnoticed. So each
message is dealt with once and not again by every call that passes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from enum import Enum
from typing import Final, Literal, TypeVar

from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.layout import statements
from storage_drivers.sqlite.places import Place, locate
from storage_drivers.sqlite.writer import Transaction

_SQL = statements("sweep")

#: One step handles this many messages, about 5 ms of the writer's time.
STEP = 1000

T = TypeVar("T")


class Untidy(Enum):
    """The answer of a call that wants the queue tidied before it is run again."""

    UNTIDY = 0


UNTIDY: Final = Untidy.UNTIDY


def tidy(transaction: Transaction, bucket_id: int, *, limit: int, now_ms: int) -> int:
    """Remove expired and promote due messages of a bucket; return how many, `limit` at most."""
    execute = transaction.execute
    handled = execute(_SQL["remove_expired"], (bucket_id, now_ms, limit)).rowcount
    handled += execute(_SQL["promote"], (bucket_id, now_ms, limit - handled)).rowcount
    if handled < limit:
        execute(_SQL["postpone"], (bucket_id,))
    return handled


def is_untidy(connection: sqlite3.Connection, place: Place, now_ms: int) -> bool:
    """Say whether a read would meet more than one step of unnoticed changes."""
    if place.due_ms > now_ms:
        return False
    arguments = (place.bucket_id, now_ms, STEP + 1)
    backlog: int = connection.execute(_SQL["backlog"], arguments).fetchone()[0]
    return backlog > STEP


def tidy_queue(transaction: Transaction, *, project: str, queue: str, now_ms: int) -> int:
    """Take one step of `tidy` in the queue, if it exists."""
    place = locate(transaction, project, queue)
    if place is None:
        return 0
    return tidy(transaction, place.bucket_id, limit=STEP, now_ms=now_ms)


def tidy_first(transaction: Transaction, place: Place, now_ms: int) -> bool:
    """Take one step of `tidy` before a write, and say whether it needs another."""
    if place.due_ms > now_ms:
        return False
    return tidy(transaction, place.bucket_id, limit=STEP, now_ms=now_ms) == STEP


async def write_tidily(
    writer: Lane[Transaction], work: Callable[[Transaction], T | Literal[Untidy.UNTIDY]]
) -> T:
    """Run a write until it no longer asks to be run again after a step of tidying."""
    while (answer := await writer.run(work)) is UNTIDY:
        pass
    return answer


async def read_tidily(
    readers: Lane[sqlite3.Connection],
    writer: Lane[Transaction],
    read: Callable[[sqlite3.Connection], T | Literal[Untidy.UNTIDY]],
    step: Callable[[Transaction], int],
) -> T:
    """Run a read, with a step of tidying before each time that it asks to be run again."""
    while (answer := await readers.run(read)) is UNTIDY:
        await writer.run(step)
    return answer


def sweep(transaction: Transaction, *, limit: int, now_ms: int) -> int:
    """Tidy whatever needs it, `limit` messages and records at most; return how many."""
    handled = transaction.execute(_SQL["forget_answers"], (now_ms, limit)).rowcount
    handled += _sweep_buckets(transaction, limit - handled, now_ms)
    return handled + _sweep_garbage(transaction, limit - handled)


def _sweep_buckets(transaction: Transaction, limit: int, now_ms: int) -> int:
    handled = 0
    due = transaction.execute(_SQL["due_buckets"], (now_ms, limit)).fetchall()
    for (bucket_id,) in due:
        if handled >= limit:
            break
        handled += tidy(transaction, bucket_id, limit=limit - handled, now_ms=now_ms)
    return handled


def _sweep_garbage(transaction: Transaction, limit: int) -> int:
    handled = 0
    for (bucket_id,) in transaction.execute(_SQL["garbage"], (limit,)).fetchall():
        if handled >= limit:
            break
        left = limit - handled
        removed = transaction.execute(_SQL["empty_bucket"], (bucket_id, left)).rowcount
        handled += removed
        if removed < left:
            transaction.execute(_SQL["forget_bucket"], (bucket_id,))
    return handled
