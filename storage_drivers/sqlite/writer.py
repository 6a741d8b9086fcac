"""Group commit: all writes that wait share one transaction and one fsync."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from queues.errors import NuskuError
from storage_drivers.sqlite.connection import Link
from storage_drivers.sqlite.errors import is_store_failure, unavailable
from storage_drivers.sqlite.lane import Call
from storage_drivers.sqlite.layout import statements
from storage_drivers.sqlite.turn import Turn

_SQL = statements("sequence")


class Transaction:
    """The transaction of one batch, as a write sees it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany
        self._last_seq: int | None = None
        self._advanced = False

    def next_sequences(self, count: int, now_ms: int) -> range:
        """Return `count` new sequences, above all that any queue of this file ever had.

        They follow the clock: 2**20 a second, so they stay below 2**53 until the year 2242.
        A file that was restored from a backup or made anew thus does not repeat sequences
        that clients remember, and the gaps in those of one queue do not tell how much goes
        on in others. When the clock stands still or goes back, they just count on.
        """
        if self._last_seq is None:
            self._last_seq = self.execute(_SQL["last"]).fetchone()[0]
        first = max(self._last_seq + 1, (now_ms << 20) // 1000)
        self._last_seq = first + count - 1
        self._advanced = True
        return range(first, first + count)

    def save_sequences(self) -> None:
        """Store the last sequence; to be called once, before the commit."""
        if self._advanced:
            self.execute(_SQL["advance"], (self._last_seq,))


class Writer:
    """Runs batches of writes on the one connection that writes.

    Each write is atomic on its own: one that fails is undone and leaves its neighbours in
    the batch alone. A failing commit fails all of them.
    """

    def __init__(self, link: Link, turn: Turn) -> None:
        self._link = link
        self._turn = turn

    def run(self, calls: Sequence[Call[Transaction]]) -> None:
        """Run and commit the writes, or fail them all with StorageUnavailable."""
        try:
            with self._turn:
                self._commit(calls)
        except (sqlite3.Error, OSError) as ex:
            self._link.close()
            for call in calls:
                call.result = unavailable(ex)

    def _commit(self, calls: Sequence[Call[Transaction]]) -> None:
        connection = self._link.connected()
        connection.execute("BEGIN IMMEDIATE")
        transaction = Transaction(connection)
        for call in calls:
            # NOTE: the lock may have come after the caller was told that it did not.
            if not call.future.done():
                _attempt(transaction, call)
        transaction.save_sequences()
        connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connection and leave the line."""
        self._link.close()
        self._turn.close()


def _attempt(transaction: Transaction, call: Call[Transaction]) -> None:
    transaction.execute("SAVEPOINT write")
    try:
        call.result = call.work(transaction)
    except NuskuError as ex:
        call.result = ex
        transaction.execute("ROLLBACK TO write")
    except Exception as ex:
        # NOTE: a defect in one write must reach its caller and not end the thread.
        if is_store_failure(ex):
            raise
        call.result = ex
        transaction.execute("ROLLBACK TO write")
    transaction.execute("RELEASE write")
