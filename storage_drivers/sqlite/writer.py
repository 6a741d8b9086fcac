"""Group commit: all writes that wait share one transaction and one fsync."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from queues.errors import NuskuError
from storage_drivers.sqlite.connection import Link
from storage_drivers.sqlite.errors import is_store_failure, unavailable
from storage_drivers.sqlite.lane import Call
from storage_drivers.sqlite.transaction import Transaction
from storage_drivers.sqlite.turn import Turn
from storage_drivers.sqlite.voice import Voice


class Writer:
    """Runs batches of writes on the one connection that writes.

    Each write is atomic on its own: one that fails is undone and leaves its neighbours in
    the batch alone. A failing commit fails all of them.
    """

    def __init__(self, link: Link, turn: Turn, voice: Voice) -> None:
        self._link = link
        self._turn = turn
        self._voice = voice
        self._transaction: Transaction | None = None

    def run(self, calls: Sequence[Call[Transaction]]) -> None:
        """Run and commit the writes, or fail them all with StorageUnavailable."""
        try:
            with self._turn:
                self._commit(calls)
        except Exception as ex:
            # NOTE: whatever it is (memory may be short), the thread must go on.
            self._link.close()
            for call in calls:
                call.result = unavailable(ex)

    def _commit(self, calls: Sequence[Call[Transaction]]) -> None:
        transaction = self._begin()
        if not _run_together(transaction, calls):
            transaction.connection.execute("ROLLBACK")
            transaction.discard()
            transaction.begin()
            _run_apart(transaction, calls)
        if not transaction.told:
            transaction.commit()
            return
        self._voice.announce()
        transaction.commit()
        self._voice.tell(transaction.told)

    def _begin(self) -> Transaction:
        connection = self._link.connected()
        if self._transaction is None or self._transaction.connection is not connection:
            self._transaction = Transaction(connection)
        self._transaction.begin()
        return self._transaction

    def close(self) -> None:
        """Close the connection and leave the line."""
        self._link.close()
        self._turn.close()
        self._voice.close()


def _wanted(calls: Iterable[Call[Transaction]]) -> Iterable[Call[Transaction]]:
    """Yield what is still waited for when its turn comes.

    NOTE: the lock may have come after the caller was told that it did not.
    """
    return (call for call in calls if not call.future.done())


def _run_together(transaction: Transaction, calls: Iterable[Call[Transaction]]) -> bool:
    """Run the writes with nothing between them; return whether that went well.

    PERF: savepoints took a quarter of a post (bench/pieces). A refusal comes before the first
    change, so there is nothing to undo. Whatever else fails may be half done, and the
    transaction has to be rolled back.
    """
    try:
        for call in _wanted(calls):
            changes = transaction.changes
            try:
                call.result = call.work(transaction)
            except NuskuError as ex:
                if transaction.changes != changes:
                    return False
                call.result = ex
        transaction.settle()
    except Exception as ex:
        if is_store_failure(ex):
            raise
        return False
    return True


def _run_apart(transaction: Transaction, calls: Iterable[Call[Transaction]]) -> None:
    """Run each write in a savepoint, and undo those that fail."""
    for call in _wanted(calls):
        transaction.execute("SAVEPOINT write")
        try:
            call.result = call.work(transaction)
            transaction.settle()
        except Exception as ex:
            # NOTE: a defect in one write must reach its caller and not end the thread.
            if is_store_failure(ex):
                raise
            call.result = ex
            transaction.discard()
            transaction.execute("ROLLBACK TO write")
        transaction.execute("RELEASE write")
