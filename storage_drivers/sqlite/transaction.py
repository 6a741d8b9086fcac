"""The transaction of a batch of writes, as a write sees it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from queues.model import Topic, TopicKind
from storage_drivers.sqlite.codec import Row
from storage_drivers.sqlite.layout import statements
from storage_drivers.sqlite.places import Place, locate

_SQL = statements("sequence")
_QUEUES = statements("queues")
_MESSAGES = statements("messages")

#: A statement names this many messages at most.
GROUP = 32

#: As many places are remembered.
_PLACES = 4096

_COLUMNS = 11
_ROW = f"({', '.join('?' * _COLUMNS)})"


class Transaction:
    """Runs statements, and puts off what all writes of a batch can do together.

    New messages wait to be inserted many at a time, counts of buckets are written once. No
    statement can tell: `execute` first inserts what waits, `settle` comes before the commit.
    What was read of queues and sequences is kept until another connection commits.

    `told` is what is to be told of the commit: queues with new messages, once these are
    stored, and what the writes add.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._places: dict[tuple[str, str], Place] = {}
        self.told: set[Topic] = set()
        self._used: dict[tuple[str, str], Place] = {}
        self._new: list[Any] = []
        self._last_seq: int | None = None
        self._advanced = False
        self._data_version: int | None = None

    def begin(self) -> None:
        """Begin, and forget what is no longer true."""
        self._advanced = False
        self.told.clear()
        self.connection.execute("BEGIN IMMEDIATE")
        version = self.connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            self._data_version = version
            self._last_seq = None
            self.discard()
        elif len(self._places) > _PLACES:
            self._places.clear()

    def commit(self) -> None:
        """Store what was put off and commit."""
        self.settle()
        if self._advanced:
            self.connection.execute(_SQL["advance"], (self._last_seq,))
        self.connection.execute("COMMIT")
        self._used.clear()

    def discard(self) -> None:
        """Forget what was put off, and all places; to be called after a rollback."""
        self._places.clear()
        self._used.clear()
        self._new.clear()

    def settle(self) -> None:
        """Store what was put off."""
        self._insert()
        for names, place in self._used.items():
            if place.last_seq:
                self.tell(*names)
            self.save(place)

    def save(self, place: Place) -> None:
        """Store the counts of a place, if they changed, and its earlier due time."""
        bucket_id = place.bucket_id
        changes = (place.total_change, place.claimed_change, place.bytes_change)
        if place.last_seq:
            last = (place.last_number, place.last_seq)
            self.connection.execute(_QUEUES["count_new"], (*changes, *last, bucket_id))
        elif any(changes):
            self.connection.execute(_QUEUES["count_change"], (*changes, bucket_id))
        place.total_change = place.claimed_change = place.bytes_change = place.last_seq = 0
        if place.is_due_sooner:
            self.connection.execute(_QUEUES["due_sooner"], (place.due_ms, bucket_id))
            place.is_due_sooner = False

    def forget_places(self) -> None:
        """Settle, and read places anew: for writes that change queues or buckets."""
        self.settle()
        self._places.clear()

    @property
    def changes(self) -> int:
        """A number that changes with every row that is written or waits to be."""
        return self.connection.total_changes + len(self._new)

    def locate(self, project: str, queue: str) -> Place | None:
        """Return the place of the queue, or None if it does not exist."""
        names = project, queue
        place = self._places.get(names)
        if place is None:
            place = locate(self.connection, project, queue)
            if place is not None:
                self._places[names] = place
        if place is not None:
            self._used[names] = place
        return place

    def tell(self, project: str, queue: str) -> None:
        """Let the watchers of the queue hear of the commit."""
        self.told.add(Topic(project, TopicKind.QUEUE, queue))

    def execute(self, sql: str, arguments: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement; it sees all that was written before."""
        if self._new:
            self._insert()
        return self.connection.execute(sql, arguments)

    def executemany(self, sql: str, arguments: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each of the arguments."""
        if self._new:
            self._insert()
        self.connection.executemany(sql, arguments)

    def execute_for(
        self, seqs: Sequence[int], sql: str, arguments: Sequence[Any] = ()
    ) -> list[Row]:
        """Run a statement for these messages, a group at a time: {seqs} stands for them."""
        rows: list[Row] = []
        for at in range(0, len(seqs), GROUP):
            group = seqs[at : at + GROUP]
            rows += self.execute(_for_many(sql, len(group)), (*arguments, *group)).fetchall()
        return rows

    def insert(self, values: Iterable[Any]) -> None:
        """Insert messages, given as `codec.new_values`."""
        self._new.extend(values)

    def next_sequences(self, count: int, now_ms: int) -> range:
        """Return `count` new sequences, above all that any queue of this file ever had.

        They follow the clock: 2**20 a second, so they stay below 2**53 until the year 2242.
        A file that was restored from a backup or made anew thus does not repeat sequences
        that clients remember, and the gaps in those of one queue do not tell how much goes
        on in others. When the clock stands still or goes back, they just count on.
        """
        if self._last_seq is None:
            self._last_seq = self.connection.execute(_SQL["last"]).fetchone()[0]
        first = max(self._last_seq + 1, ((now_ms << 20) // 1000) + 1)
        self._last_seq = first + count - 1
        self._advanced = True
        return range(first, first + count)

    def _insert(self) -> None:
        values, self._new = self._new, []
        for at in range(0, len(values), GROUP * _COLUMNS):
            group = values[at : at + GROUP * _COLUMNS]
            self.connection.execute(_insert_many(len(group) // _COLUMNS), group)


@lru_cache(maxsize=16 * GROUP)
def _for_many(sql: str, count: int) -> str:
    return sql.format(seqs=", ".join("?" * count))


@lru_cache(maxsize=GROUP)
def _insert_many(count: int) -> str:
    return _MESSAGES["insert"].format(rows=", ".join([_ROW] * count))
