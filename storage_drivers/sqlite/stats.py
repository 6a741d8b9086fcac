"""The counts of a queue and its two ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Literal

from queues.model import Message, Stats
from storage_drivers.sqlite.codec import to_message
from storage_drivers.sqlite.layout import CLAIMED, DELAYED, READY, statements
from storage_drivers.sqlite.places import locate
from storage_drivers.sqlite.sweep import UNTIDY, Untidy, is_untidy

_SQL = statements("queues")
_MESSAGES = statements("messages")
_NOTHING = Stats(claimed=0, total=0, oldest=None, newest=None)


def read_stats(
    connection: sqlite3.Connection, *, project: str, queue: str, now_ms: int
) -> Stats | Literal[Untidy.UNTIDY]:
    """Return the counters, less what expired or lapsed and is still counted in them."""
    place = locate(connection, project, queue)
    if place is None:
        return _NOTHING
    if is_untidy(connection, place, now_ms):
        return UNTIDY
    bucket_id = place.bucket_id
    total, claimed = connection.execute(_SQL["counters"], (bucket_id,)).fetchone()
    now = (bucket_id, now_ms)
    lapsed = connection.execute(_SQL["count_lapsed"], now).fetchone()[0]
    expired, held = connection.execute(_SQL["count_expired"], (now_ms, *now)).fetchone()
    return Stats(
        claimed=claimed - lapsed - held,
        total=total - expired,
        oldest=_end(connection, "oldest", min, bucket_id, now_ms),
        newest=_end(connection, "newest", max, bucket_id, now_ms),
    )


def _end(
    connection: sqlite3.Connection,
    statement: str,
    choose: Callable[[list[int]], int],
    bucket_id: int,
    now_ms: int,
) -> Message | None:
    """Return the first message from one end, in any state."""
    ends = [
        seq
        for state in (READY, DELAYED, CLAIMED)
        for (seq,) in connection.execute(_SQL[statement], (bucket_id, state, now_ms))
    ]
    if not ends:
        return None
    arguments = (choose(ends), bucket_id, now_ms)
    return to_message(connection.execute(_MESSAGES["get"], arguments).fetchone(), now_ms)
