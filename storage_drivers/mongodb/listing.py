"""Listing: a page of messages that no writer can fill in behind the reader's back."""

from __future__ import annotations

from typing import Any, NamedTuple

from pymongo import ASCENDING

from queues.model import MessagePage
from queues.storage import HIDDEN_PER_LISTING
from storage_drivers.mongodb import codec, sequence
from storage_drivers.mongodb.layout import HIDDEN, Database, Document, message_id


class Wanted(NamedTuple):
    """What the caller of `MessageStore.list` wants to see."""

    after_seq: int
    limit: int
    include_claimed: bool
    include_delayed: bool
    exclude_client_id: str | None
    now_ms: int

    def shows(self, doc: Document) -> bool:
        """Say whether a document is to be on the page."""
        if doc["visible"] >= HIDDEN or doc["expires"] <= self.now_ms:
            return False
        if doc["client"] == self.exclude_client_id:
            return False
        if doc["visible"] <= self.now_ms:
            return True
        return self.include_claimed if doc["claim"] else self.include_delayed

    def condition(self) -> Document:
        """Return the same as a condition of the store."""
        condition: Document = {
            "visible": {"$lt": HIDDEN},
            "expires": {"$gt": self.now_ms},
        }
        if self.exclude_client_id is not None:
            condition["client"] = {"$ne": self.exclude_client_id}
        if not (self.include_claimed and self.include_delayed):
            condition["$or"] = self._states()
        return condition

    def _states(self) -> list[Document]:
        states: list[Document] = [{"visible": {"$lte": self.now_ms}}]
        if self.include_claimed:
            states.append({"claim": {"$gt": ""}})
        if self.include_delayed:
            states.append({"claim": ""})
        return states


async def page(db: Database, queue_id: str, wanted: Wanted) -> MessagePage:
    """Return the page; see `MessageStore.list`."""
    async with db.causal() as session:
        reader = _Reader(db, session, wanted)
        view = await sequence.look(db, queue_id, session)
        found = await reader.page(view)
        if view is None or not view.held or len(found.messages) == wanted.limit:
            return found
        view = await sequence.look_closer(db, queue_id, session, now_ms=wanted.now_ms)
        return await reader.page(view)


class _Reader(NamedTuple):
    db: Database
    session: Any
    wanted: Wanted

    async def page(self, view: sequence.View | None) -> MessagePage:
        if view is None:
            return MessagePage([], None)
        docs = await self._find(view, self.wanted.limit)
        if all(map(self.wanted.shows, docs)):
            return self._filled(docs)
        return await self._filtered_page(view)

    def _filled(self, docs: list[Document]) -> MessagePage:
        messages = [codec.message(doc, self.wanted.now_ms) for doc in docs]
        return MessagePage(messages, messages[-1].seq if messages else None)

    async def _filtered_page(self, view: sequence.View) -> MessagePage:
        """Leave messages out in the store, after finding how far it may look."""
        limit = self.wanted.limit
        horizon = await self._find_horizon(view)
        if horizon is not None:
            view = view._replace(bound=horizon)
        docs = await self._find(view, limit, self.wanted.condition())
        found = self._filled(docs)
        if horizon is not None and len(docs) < limit:
            return found._replace(next_seq=horizon)
        return found

    async def _find_horizon(self, view: sequence.View) -> int | None:
        """Return the last sequence that this call may look at, None if it may see all.

        PERF: counts keys of the `_id` index, at most so many, and reads one document.
        """
        skip = HIDDEN_PER_LISTING + self.wanted.limit - 1
        docs = await self._find(view, 1, skip=skip, shown={"seq": 1})
        return docs[0]["seq"] if docs else None

    async def _find(
        self,
        view: sequence.View,
        limit: int,
        condition: Document | None = None,
        *,
        skip: int = 0,
        shown: Document | None = None,
    ) -> list[Document]:
        ids = {
            "$gt": message_id(view.bucket, self.wanted.after_seq),
            "$lte": message_id(view.bucket, view.bound),
        }
        where = {"b": view.bucket, "_id": ids, **(condition or {})}
        found = self.db.messages.find(where, shown, session=self.session)
        found = found.sort("_id", ASCENDING).hint("_id_").skip(skip).limit(limit)
        docs: list[Document] = await found.to_list(None)
        return docs
