"""Telling other processes of a topic: a new mark in a document that they watch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from pymongo import UpdateOne
from pymongo.errors import PyMongoError

from storage_drivers.mongodb.errors import ignoring_duplicates
from storage_drivers.mongodb.layout import FRESH, Database, new_token

_log = logging.getLogger(__name__)

#: What could not be told is told again after this.
_PAUSE_S = 1.0


class Teller:
    """Marks documents in the background; those that wait share a command."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def tell(self, document_id: str) -> None:
        """Mark the document, soon."""
        if self._closed:
            return
        self._waiting.add(document_id)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Mark what waits, if the store is there, and take no more."""
        self._closed = True
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._mark_all()
        finally:
            self._task = None

    async def _mark_all(self) -> None:
        """Mark what waits; if that fails, again after a pause, or never when closed."""
        document_ids, self._waiting = self._waiting, set()
        try:
            await self._mark(document_ids)
        except PyMongoError as ex:
            if not self._closed:
                _log.warning("others are told later: %s", type(ex).__name__)
                self._waiting |= document_ids
                await asyncio.sleep(_PAUSE_S)

    async def _mark(self, document_ids: Iterable[str]) -> None:
        """Mark the documents, or leave it to whoever makes one at the same moment."""
        changes = {"$set": {"told": new_token(), "gone": FRESH}}
        marks = [UpdateOne({"_id": one}, changes, upsert=True) for one in document_ids]
        with ignoring_duplicates():
            await self._db.told.bulk_write(marks, ordered=False)
