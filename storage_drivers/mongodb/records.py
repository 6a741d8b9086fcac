"""Records: one document each, changed only at the version that the caller knows."""

from __future__ import annotations

from collections.abc import Sequence

from pymongo import ASCENDING, UpdateOne
from pymongo.errors import DuplicateKeyError

from queues.model import Record, RecordKind, Taken
from queues.records import RecordStore
from storage_drivers.mongodb import codec
from storage_drivers.mongodb.errors import bounded
from storage_drivers.mongodb.layout import (
    BEFORE_ALL,
    Database,
    Document,
    new_token,
    record_id,
    record_ids,
)

#: Rounds in which a call tries to take what is due while others take it first.
_ROUNDS = 5


class MongoRecords(RecordStore):
    """Records in the collection `records`."""

    def __init__(self, db: Database) -> None:
        self.db = db

    @bounded
    async def create(self, project: str, record: Record, *, now_ms: int) -> bool:
        """See RecordStore."""
        fields = codec.record_fields(record) | {"version": record.version}
        expired = {"_id": _id(project, record), "expires": {"$lte": now_ms}}
        try:
            await self.db.records.update_one(expired, {"$set": fields}, upsert=True)
        except DuplicateKeyError:
            return False
        return True

    @bounded
    async def get(
        self, project: str, kind: RecordKind, scope: str, key: str, *, now_ms: int
    ) -> Record | None:
        """See RecordStore."""
        live = {"_id": record_id(project, kind, scope, key), "expires": {"$gt": now_ms}}
        doc = await self.db.records.find_one(live)
        return codec.record(doc) if doc else None

    @bounded
    async def replace(self, project: str, record: Record, *, now_ms: int) -> bool:
        """See RecordStore."""
        same = {"_id": _id(project, record), "version": record.version}
        replaced = await self.db.records.update_one(
            same | {"expires": {"$gt": now_ms}},
            {"$set": codec.record_fields(record), "$inc": {"version": 1}},
        )
        return bool(replaced.matched_count)

    @bounded
    async def delete(
        self,
        project: str,
        kind: RecordKind,
        scope: str,
        key: str,
        *,
        version: int | None,
        now_ms: int,
    ) -> bool:
        """See RecordStore."""
        live = {"_id": record_id(project, kind, scope, key), "expires": {"$gt": now_ms}}
        same = {} if version is None else {"version": version}
        deleted = await self.db.records.delete_one(live | same)
        return bool(deleted.deleted_count)

    @bounded
    async def list(
        self,
        project: str,
        kind: RecordKind,
        scope: str,
        *,
        prefix: str,
        marker: str,
        limit: int,
        now_ms: int,
    ) -> Sequence[Record]:
        """See RecordStore."""
        base = record_id(project, kind, scope, "")
        ids = record_ids(base, prefix=prefix, marker=marker)
        found = self.db.records.find({"_id": ids, "expires": {"$gt": now_ms}})
        page = found.sort("_id", ASCENDING).limit(limit)
        return [codec.record(doc) for doc in await page.to_list(None)]

    @bounded
    async def take(self, *, limit: int, lease_ms: int, now_ms: int) -> Sequence[Taken]:
        """See RecordStore."""
        taken: list[Document] = []
        for _ in range(_ROUNDS):
            due = await _due(self.db, limit - len(taken), now_ms)
            won = await _seize(self.db, due, now_ms + lease_ms)
            taken += won
            if len(taken) == limit or len(won) == len(due):
                break
        return [codec.taken(doc) for doc in taken]


def _id(project: str, record: Record) -> str:
    return record_id(project, record.kind, record.scope, record.key)


async def _due(db: Database, limit: int, now_ms: int) -> list[Document]:
    """Return what is due.

    PERF: reads the latest state, as whoever claims messages does, and is as safe.
    """
    due = {"due": {"$gt": BEFORE_ALL, "$lte": now_ms}, "expires": {"$gt": now_ms}}
    found = db.latest(db.records).find(due)
    docs: list[Document] = await found.sort("due", ASCENDING).limit(limit).to_list(None)
    return docs


async def _seize(db: Database, docs: Sequence[Document], due_ms: int) -> list[Document]:
    """Take each record unless it has changed; return those that were won, as they are."""
    if not docs:
        return []
    changes = {"due": due_ms, "taker": new_token()}
    after = [doc | changes | {"version": doc["version"] + 1} for doc in docs]
    result = await db.records.bulk_write(
        [
            UpdateOne(
                {key: doc[key] for key in ("_id", "version")},
                {"$set": changes, "$inc": {"version": 1}},
            )
            for doc in docs
        ],
        ordered=False,
    )
    if result.matched_count == len(after):
        return after
    ids = [doc["_id"] for doc in docs]
    mine = {"_id": {"$in": ids}, "taker": changes["taker"]}
    found = await db.latest(db.records).find(mine, {"_id": 1}).to_list(None)
    won = {doc["_id"] for doc in found}
    return [doc for doc in after if doc["_id"] in won]
