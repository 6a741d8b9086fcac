"""Hearing by asking: one question about all that is watched, again and again.

For servers that have no change streams, or slow ones. A queue with an open reservation is
hinted at whenever it is asked about: its writer may have died between storing and closing.
"""

from __future__ import annotations

from collections.abc import Mapping

from storage_drivers.mongodb.hints import Hints
from storage_drivers.mongodb.layout import Database, Document

#: What changes when there is something to look at.
_SHOWN = {"seq": 1, "open": 1, "bucket": 1, "told": 1}


class Poll:
    """Compares what is watched with how it was the last time."""

    def __init__(self, db: Database, hints: Hints) -> None:
        self._db = db
        self._hints = hints
        self._known: Mapping[str, Document | None] = {}

    async def ask(self) -> None:
        """Ask once, and hint at what has changed since it was first asked about.

        Raises: PyMongoError.
        """
        watched = self._hints.documents()
        latest = self._db.latest(self._db.queues)
        found = await latest.find({"_id": {"$in": watched}}, _SHOWN).to_list(None)
        before = self._known
        self._known = dict.fromkeys(watched) | {doc["_id"]: doc for doc in found}
        self._hints.of(
            name
            for name, doc in self._known.items()
            if before.get(name, doc) != doc or (doc and doc.get("open"))
        )
