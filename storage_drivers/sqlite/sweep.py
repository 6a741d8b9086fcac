"""Tidying: remove what expired, make ready what is due, forget what was deleted.

No answer depends on it, since every statement compares times itself. It keeps the cost of
the others flat: a call first has the queue tidied, in bounded steps, when it would otherwise
wade through more than one step of messages that expired or came due unnoticed. So each
message is dealt with once and not again by every call that passes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeVar

from storage_drivers.sqlite.credentials import forget_expired
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.layout import CLAIMED, DELAYED, statements
from storage_drivers.sqlite.places import Place
from storage_drivers.sqlite.quotas import forget_full
from storage_drivers.sqlite.removal import remove
from storage_drivers.sqlite.transaction import Transaction

_SQL = statements("sweep")

#: One step handles this many messages, and no more once it removed so many bytes of bodies.
#: Either takes the writer some 10 ms.
STEP = 1000
STEP_BYTES = 2 * 1024 * 1024

T = TypeVar("T")


#: The file keeps so many free pages for new messages. An idle sweep returns what is above it
#: to the file system, at most so many pages a time.
SPARE_PAGES = 4096
RETURNED_PAGES = 1000


@dataclass
class Room:
    """What a step may still do."""

    messages: int
    body_bytes: int = STEP_BYTES

    def __bool__(self) -> bool:
        """Say whether there is any room left."""
        return self.messages > 0 and self.body_bytes > 0


class Untidy(Enum):
    """The answer of a call that wants the queue tidied before it is run again."""

    UNTIDY = 0


UNTIDY: Final = Untidy.UNTIDY


def tidy(transaction: Transaction, place: Place, room: Room, now_ms: int) -> bool:
    """Remove expired and promote due messages of a bucket, and say whether that was all."""
    execute, bucket_id = transaction.execute, place.bucket_id
    expired = execute(_SQL["expired"], (bucket_id, now_ms, room.messages))
    total, claimed, body_bytes = _remove(transaction, expired, room)
    place.count(total=-total, claimed=-claimed, body_bytes=-body_bytes)
    for state in (DELAYED, CLAIMED):
        if room:
            arguments = (bucket_id, state, now_ms, room.messages)
            promoted = execute(_SQL["promote"], arguments).rowcount
            room.messages -= promoted
            place.count(claimed=-promoted if state == CLAIMED else 0)
    if room:
        execute(_SQL["postpone"], (bucket_id,))
        place.due_ms = execute(_SQL["due"], (bucket_id,)).fetchone()[0]
        place.is_due_sooner = False
    return bool(room)


def _remove(
    transaction: Transaction, candidates: Iterable[tuple[int, int, int, int]], room: Room
) -> tuple[int, int, int]:
    """Delete messages, given as rows of `expired`, as far as there is room.

    Returns how many they were, how many of them in state claimed, and the bytes of bodies.
    """
    removed: list[int] = []
    long: list[int] = []
    claimed = removed_bytes = 0
    for seq, state, is_long, body_bytes in candidates:
        removed.append(seq)
        claimed += state == CLAIMED
        removed_bytes += body_bytes
        room.messages -= 1
        if is_long:
            long.append(seq)
            room.body_bytes -= body_bytes
        if not room:
            break
    remove(transaction, removed, long)
    return len(removed), claimed, removed_bytes


def is_untidy(connection: sqlite3.Connection, place: Place, now_ms: int) -> bool:
    """Say whether a read would meet more than one step of unnoticed changes."""
    if place.due_ms > now_ms:
        return False
    one_count = (place.bucket_id, now_ms, STEP + 1)
    backlog: int = connection.execute(_SQL["backlog"], one_count * 2).fetchone()[0]
    return backlog > STEP


def tidy_queue(transaction: Transaction, *, project: str, queue: str, now_ms: int) -> None:
    """Take one step of `tidy` in the queue, if it exists."""
    place = transaction.locate(project, queue)
    if place is not None:
        tidy(transaction, place, Room(STEP), now_ms)


def tidy_first(transaction: Transaction, place: Place, now_ms: int) -> bool:
    """Take one step of `tidy` before a write, and say whether it needs another."""
    return place.due_ms <= now_ms and not tidy(transaction, place, Room(STEP), now_ms)


async def write_tidily(
    writer: Lane[Transaction], work: Callable[[Transaction], T | Literal[Untidy.UNTIDY]]
) -> T:
    """Run a write until it no longer asks to be run again after a step of tidying.

    Raises: StorageUnavailable when that takes too long; the steps taken are kept.
    """
    answer = await writer.run(work)
    if answer is UNTIDY:
        async with writer.in_time():
            while (answer := await writer.run(work)) is UNTIDY:
                pass
    return answer


async def read_tidily(
    readers: Lane[sqlite3.Connection],
    writer: Lane[Transaction],
    read: Callable[[sqlite3.Connection], T | Literal[Untidy.UNTIDY]],
    step: Callable[[Transaction], None],
) -> T:
    """Run a read, with a step of tidying before each time that it asks to be run again.

    Raises: StorageUnavailable when that takes too long; the steps taken are kept.
    """
    answer = await readers.run(read)
    if answer is UNTIDY:
        async with writer.in_time():
            while answer is UNTIDY:
                await writer.run(step)
                answer = await readers.run(read)
    return answer


def sweep(transaction: Transaction, *, limit: int, now_ms: int) -> int:
    """Tidy whatever needs it, `limit` messages and records at most; return how many.

    At least 1 when as many buckets were visited, for there may be more behind them: often a
    bucket is due for messages that are gone already.
    """
    transaction.forget_places()
    room = Room(limit)
    room.messages -= transaction.execute(_SQL["forget_answers"], (now_ms, limit)).rowcount
    room.messages -= forget_expired(transaction, room.messages, now_ms)
    room.messages -= forget_full(transaction, room.messages, now_ms)
    gone = transaction.execute(_SQL["forget_records"], (now_ms, room.messages))
    room.messages -= gone.rowcount
    most_visits = max(
        _sweep_buckets(transaction, room, now_ms), _sweep_garbage(transaction, room)
    )
    if room:
        _shrink(transaction)
    return max(limit - room.messages, int(most_visits >= limit))


def _sweep_buckets(transaction: Transaction, room: Room, now_ms: int) -> int:
    """Tidy due buckets as far as there is room; return how many were found."""
    due = transaction.execute(_SQL["due_buckets"], (now_ms, room.messages)).fetchall()
    for bucket_id, due_ms in due:
        if not room:
            break
        place = Place(0, bucket_id, 0, due_ms)
        tidy(transaction, place, room, now_ms)
        transaction.save(place)
    return len(due)


def _sweep_garbage(transaction: Transaction, room: Room) -> int:
    """Empty discarded buckets as far as there is room; return how many were found."""
    garbage = transaction.execute(_SQL["garbage"], (room.messages,)).fetchall()
    for (bucket_id,) in garbage:
        if not room:
            break
        contents = transaction.execute(_SQL["contents"], (bucket_id, room.messages))
        _remove(transaction, contents, room)
        if room:
            transaction.execute(_SQL["forget_bucket"], (bucket_id,))
    return len(garbage)


def _shrink(transaction: Transaction) -> None:
    spare = transaction.execute(_SQL["count_free_pages"]).fetchone()[0]
    for _ in range(min(spare - SPARE_PAGES, RETURNED_PAGES)):
        transaction.execute(_SQL["shrink"])
