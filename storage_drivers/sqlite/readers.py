"""Reads on connections of their own: they see what is committed and wait for no writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from storage_drivers.sqlite.connection import Link
from storage_drivers.sqlite.errors import is_store_failure, unavailable
from storage_drivers.sqlite.lane import Call


class Reader:
    """Runs batches of reads, each batch on one snapshot of what is committed."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def run(self, calls: Sequence[Call[sqlite3.Connection]]) -> None:
        """Run the reads, or fail them all with StorageUnavailable."""
        try:
            connection = self._link.connected()
            connection.execute("BEGIN")
            for call in calls:
                _attempt(connection, call)
            connection.execute("COMMIT")
        except Exception as ex:
            # NOTE: whatever it is (memory may be short), the thread must go on.
            self._link.close()
            for call in calls:
                call.result = unavailable(ex)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


def _attempt(connection: sqlite3.Connection, call: Call[sqlite3.Connection]) -> None:
    try:
        call.result = call.work(connection)
    except Exception as ex:
        # NOTE: a defect in one read must reach its caller and not end the thread.
        if is_store_failure(ex):
            raise
        call.result = ex
