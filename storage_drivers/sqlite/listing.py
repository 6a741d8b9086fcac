"""One page of a listing: the messages of the wanted states, merged by sequence."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from queues.model import MessagePage
from queues.storage import HIDDEN_PER_LISTING
from storage_drivers.sqlite.codec import pack_client_id, to_message
from storage_drivers.sqlite.layout import CLAIMED, DELAYED, READY, statements
from storage_drivers.sqlite.places import Place, locate
from storage_drivers.sqlite.sweep import UNTIDY, Untidy, is_untidy

_SQL = statements("messages")
_NOTHING = MessagePage((), None)

#: seq, expires_ms and client_id of a message.
_Candidate = tuple[int, int, bytes]


class Listing(NamedTuple):
    """What a caller of `MessageStore.list` asks for."""

    after_seq: int
    limit: int
    include_claimed: bool
    include_delayed: bool
    exclude_client_id: str | None
    now_ms: int


def read_page(
    connection: sqlite3.Connection, *, project: str, queue: str, listing: Listing
) -> MessagePage | Literal[Untidy.UNTIDY]:
    """Return the page, without a look at messages in states that are not wanted."""
    place = locate(connection, project, queue)
    if place is None:
        return _NOTHING
    if is_untidy(connection, place, listing.now_ms):
        return UNTIDY
    seqs, stopped_at = _choose(_candidates(connection, place, listing), listing)
    rows = connection.execute(_SQL["page"].format(seqs=", ".join("?" * len(seqs))), seqs)
    messages = [to_message(row, listing.now_ms) for row in rows]
    return MessagePage(messages, stopped_at or (seqs[-1] if seqs else None))


def _candidates(
    connection: sqlite3.Connection, place: Place, listing: Listing
) -> Iterator[_Candidate]:
    """Yield what is in a wanted state or came due, in order; read lazily."""
    wanted = {READY: True, DELAYED: listing.include_delayed, CLAIMED: listing.include_claimed}
    streams: list[Iterable[_Candidate]] = []
    for state, is_wanted in wanted.items():
        if is_wanted:
            arguments = (place.bucket_id, state, listing.after_seq)
            streams.append(connection.execute(_SQL["stream"], arguments))
        elif place.due_ms <= listing.now_ms:
            streams.append(_due(connection, place.bucket_id, state, listing))
    return heapq.merge(*streams)


def _due(
    connection: sqlite3.Connection, bucket_id: int, state: int, listing: Listing
) -> Iterable[_Candidate]:
    """Return what is ready by now but not yet noticed; few, or the queue would be untidy."""
    arguments = (bucket_id, state, listing.now_ms, listing.after_seq)
    return sorted(connection.execute(_SQL["due"], arguments))


def _choose(candidates: Iterator[_Candidate], listing: Listing) -> tuple[list[int], int | None]:
    """Return the sequences of the page, and where the search gave up, if it did."""
    excluded = listing.exclude_client_id
    hidden_client = None if excluded is None else pack_client_id(excluded)
    seqs: list[int] = []
    hidden = 0
    for seq, expires_ms, client_id in candidates:
        if expires_ms > listing.now_ms and client_id != hidden_client:
            seqs.append(seq)
            if len(seqs) == listing.limit:
                break
        else:
            hidden += 1
            if hidden == HIDDEN_PER_LISTING:
                return seqs, seq
    return seqs, None
