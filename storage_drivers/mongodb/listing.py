"""Listing: a page of messages that no writer can fill in behind the reader's back."""

from __future__ import annotations

from typing import NamedTuple

from pymongo import ASCENDING

from queues.model import Message, MessagePage
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
        return self.include_claimed if doc.get("claim") else self.include_delayed

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
            states.append({"claim": None})
        return states


async def page(db: Database, queue_id: str, wanted: Wanted) -> MessagePage:
    """Return the page; see `MessageStore.list`."""
    view = await sequence.look(db, queue_id)
    found = await _page(db, view, wanted)
    if view is None or not view.held or len(found.messages) == wanted.limit:
        return found
    view = await sequence.look_closer(db, queue_id, now_ms=wanted.now_ms)
    return await _page(db, view, wanted)


async def _page(db: Database, view: sequence.View | None, wanted: Wanted) -> MessagePage:
    if view is None:
        return MessagePage([], None)
    docs = await _find(db, view, wanted.after_seq, wanted.limit)
    if all(map(wanted.shows, docs)):
        return _filled(docs, wanted)
    return await _filtered_page(db, view, wanted)


def _filled(docs: list[Document], wanted: Wanted) -> MessagePage:
    messages = [codec.message(doc, wanted.now_ms) for doc in docs]
    return MessagePage(messages, _last(messages))


async def _filtered_page(db: Database, view: sequence.View, wanted: Wanted) -> MessagePage:
    """Leave messages out in the store, after finding how far it may look."""
    horizon = await _find_horizon(db, view, wanted)
    upto = view.bound if horizon is None else horizon
    docs = await _find(
        db, view._replace(bound=upto), wanted.after_seq, wanted.limit, wanted.condition()
    )
    found = _filled(docs, wanted)
    if horizon is not None and len(docs) < wanted.limit:
        return found._replace(next_seq=horizon)
    return found


async def _find_horizon(db: Database, view: sequence.View, wanted: Wanted) -> int | None:
    """Return the last sequence that this call may look at, None if all are within reach.

    PERF: counts keys of the `_id` index, at most so many, and reads one document.
    """
    docs = await _find(
        db,
        view,
        wanted.after_seq,
        1,
        skip=HIDDEN_PER_LISTING + wanted.limit - 1,
        shown={"seq": 1},
    )
    return docs[0]["seq"] if docs else None


async def _find(
    db: Database,
    view: sequence.View,
    after_seq: int,
    limit: int,
    condition: Document | None = None,
    *,
    skip: int = 0,
    shown: Document | None = None,
) -> list[Document]:
    ids = {
        "$gt": message_id(view.bucket, after_seq),
        "$lte": message_id(view.bucket, view.bound),
    }
    found = db.messages.find({"b": view.bucket, "_id": ids, **(condition or {})}, shown)
    found = found.sort("_id", ASCENDING).hint("_id_").skip(skip).limit(limit)
    docs: list[Document] = await found.to_list(None)
    return docs


def _last(messages: list[Message]) -> int | None:
    return messages[-1].seq if messages else None
