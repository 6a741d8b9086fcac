"""Listing: a page of messages that no writer can fill in behind the reader's back.

One command reads the queue's document and, after it, the messages of the bucket that this
process knows the queue to have. If the queue has another one by now, the command is sent
again: what is shown is always of the bucket that the same command found in the document.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, NamedTuple

from queues.errors import StorageUnavailable
from queues.model import MessagePage
from queues.storage import HIDDEN_PER_LISTING
from storage_drivers.mongodb import codec, sequence
from storage_drivers.mongodb.layout import (
    HIDDEN,
    Database,
    Document,
    bucket_ids,
    escape,
    message_id,
    sequence_of,
)
from storage_drivers.mongodb.queues import LIVE, find_live

#: Attempts on a queue that is purged or created again at the same time.
_ATTEMPTS = 20


class Wanted(NamedTuple):
    """What the caller of `MessageStore.list` wants to see."""

    after_seq: int
    limit: int
    include_claimed: bool
    include_delayed: bool
    exclude_client_id: str | None
    now_ms: int

    def condition(self) -> Document:
        """Return which messages are to be on the page."""
        conditions: list[Document] = [
            {"visible": {"$lt": HIDDEN}},
            {"expires": {"$gt": self.now_ms}},
        ]
        if self.exclude_client_id is not None:
            conditions.append({"client": {"$ne": escape(self.exclude_client_id)}})
        if not (self.include_claimed and self.include_delayed):
            conditions.append({"$or": self._states()})
        return {"$and": conditions}

    def _states(self) -> list[Document]:
        states: list[Document] = [{"visible": {"$lte": self.now_ms}}]
        if self.include_claimed:
            states.append({"claim": {"$gt": ""}})
        if self.include_delayed:
            states.append({"claim": ""})
        return states


class Found(NamedTuple):
    """The page, and what its reader was allowed to see (None: there is no queue)."""

    page: MessagePage
    view: sequence.View | None


async def page(db: Database, queue_id: str, wanted: Wanted) -> MessagePage:
    """Return the page; see `MessageStore.list`."""
    found = await _Reader(db, queue_id, wanted).read()
    if not found.view or not found.view.held or len(found.page.messages) == wanted.limit:
        return found.page
    async with db.causal() as session:
        view = await sequence.look_closer(db, queue_id, session, now_ms=wanted.now_ms)
        if view is None:
            return MessagePage([], None)
        return (await _Reader(db, queue_id, wanted, session, view.bound).read()).page


class _Reader(NamedTuple):
    db: Database
    queue_id: str
    wanted: Wanted
    session: Any = None
    bound: int | None = None

    async def read(self) -> Found:
        """Return the page of this moment, up to `bound`, or to where writers are at work.

        PERF: as long as pages are full, nobody needs to know where a listing has to stop.
        """
        full = self.db.full_pages.get(self.queue_id, False)
        found = await self._read(horizon=not full)
        if full and len(found.page.messages) < self.wanted.limit:
            found = await self._read(horizon=True)
        self.db.remember_page(self.queue_id, full=len(found.page.messages) == self.wanted.limit)
        return found

    async def _read(self, *, horizon: bool) -> Found:
        bucket = self.db.buckets.get(self.queue_id)
        if bucket is None:
            doc = await find_live(self.db, self.queue_id, self.session)
            bucket = doc["bucket"] if doc else None
        for _ in range(_ATTEMPTS):
            if bucket is None:
                return Found(MessagePage([], None), None)
            rows = await self._rows(bucket, horizon=horizon)
            queue = next((row for row in rows if "bucket" in row), None)
            if queue and queue["bucket"] == bucket:
                return self._found(queue, rows)
            bucket = queue["bucket"] if queue else None
        raise StorageUnavailable("too many changes of one queue at the same time")

    def _found(self, queue: Document, rows: list[Document]) -> Found:
        self.db.remember(self.queue_id, bucket=queue["bucket"], seq=queue["seq"])
        view = sequence.view(queue)
        last = message_id(view.bucket, view.bound if self.bound is None else self.bound)
        seen = sorted(
            (row for row in rows if row is not queue and row["_id"] <= last),
            key=itemgetter("_id"),
        )
        now_ms = self.wanted.now_ms
        messages = [codec.message(row, now_ms) for row in seen if "horizon" not in row]
        next_seq = messages[-1].seq if messages else None
        if seen and len(messages) < self.wanted.limit:
            # NOTE: either the last message or the horizon, whichever is further on.
            next_seq = sequence_of(seen[-1]["_id"])
        return Found(MessagePage(messages, next_seq), view)

    async def _rows(self, bucket: str, *, horizon: bool) -> list[Document]:
        """Return the queue's document, the document at the horizon, and the messages.

        NOTE: the order of the stages is the order in which MongoDB reads. A message that is
        inserted or deleted between two of them makes the view or the horizon too low, and
        never too high.
        """
        pipeline = [
            {"$match": {"_id": self.queue_id, "live": True}},
            {"$project": LIVE},
            *([_union(self._horizon(bucket))] if horizon else ()),
            _union(self._messages(bucket)),
        ]
        batch = self.wanted.limit + 3  # one more than there can be, so that no command follows
        found = self.db.queues.aggregate(pipeline, session=self.session, batchSize=batch)
        rows: list[Document] = await found.to_list(None)
        return rows

    def _messages(self, bucket: str) -> list[Document]:
        return [
            *self._range(bucket),
            {"$limit": HIDDEN_PER_LISTING + self.wanted.limit},
            {"$match": self.wanted.condition()},
            {"$limit": self.wanted.limit},
        ]

    def _horizon(self, bucket: str) -> list[Document]:
        """Return how to find the last `_id` that this call may look at, if there are so many.

        PERF: reads keys of the `_id` index alone, except where the shard key is asked for.
        """
        return [
            *self._range(bucket),
            {"$skip": HIDDEN_PER_LISTING + self.wanted.limit - 1},
            {"$limit": 1},
            {"$project": {"horizon": "$_id"}},
        ]

    def _range(self, bucket: str) -> list[Document]:
        shard = {"b": bucket} if self.db.sharded else {}
        ids = bucket_ids(bucket) | {"$gt": message_id(bucket, self.wanted.after_seq)}
        return [{"$match": {**shard, "_id": ids}}, {"$sort": {"_id": 1}}]


def _union(pipeline: list[Document]) -> Document:
    return {"$unionWith": {"coll": "messages", "pipeline": pipeline}}
