"""Hearing by a change stream of `queues`, where writers close reservations and tell topics."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from storage_drivers.mongodb.hints import Hints
from storage_drivers.mongodb.layout import Database, Document

#: The server answers after this when nothing happens.
_WAIT_MS = 500

#: A server that answers at once is not asked at once again.
_PAUSE_S = 0.01

_PIPELINE = [
    {"$changeStream": {}},
    {"$match": {"operationType": {"$in": ["insert", "update"]}}},
    {
        "$project": {
            "documentKey": 1,
            "updateDescription.removedFields": 1,
            "updateDescription.updatedFields.told": 1,
        }
    },
]


class ChangeStream:
    """One stream for all that is watched, read in a thread.

    PERF: it has the changes of all queues, and the asynchronous client hands each to the
    event loop by a change of threads. So a thread of our own uses the client beneath it, and
    passes on only what somebody watches.
    """

    def __init__(self, db: Database, hints: Hints) -> None:
        self._queues = db.queues.delegate
        self._wait_ms = min(_WAIT_MS, db.timeout_ms // 2)
        self._hints = hints
        self._over = threading.Event()

    async def hear(self, opened: Callable[[], None]) -> None:
        """Call `opened`, and from then on hint at what changes, until nothing is watched.

        Cancelled, the thread ends soon.

        Raises: PyMongoError, also when the connection was lost: then something may be missed.
        """
        try:
            await asyncio.to_thread(self._read, opened, asyncio.get_running_loop())
        finally:
            self._over.set()

    def _read(self, opened: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        with self._queues.aggregate(_PIPELINE, maxAwaitTimeMS=self._wait_ms) as changes:
            loop.call_soon_threadsafe(opened)
            while self._hints and changes.alive and not self._over.is_set():
                change = changes.try_next()
                if change is None:
                    self._over.wait(_PAUSE_S)
                elif change["documentKey"]["_id"] in self._hints and is_news(change):
                    loop.call_soon_threadsafe(self._hints.of, [change["documentKey"]["_id"]])


def is_news(change: Document) -> bool:
    """Say whether there may be something to look at: not after a mere reservation."""
    update = change.get("updateDescription")
    return not update or bool(update.get("removedFields") or update.get("updatedFields"))
