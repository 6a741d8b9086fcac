"""Credentials: one document each, changed by conditional updates only.

A revocation takes three steps: the id is named, the version advances, the credential ends.
In this order whoever sees a version finds all the ids it stands for, and a call that was cut
off between two steps left a live credential, so the next one takes all three again.
"""

from __future__ import annotations

from collections.abc import Sequence

from pymongo import ASCENDING, UpdateOne
from pymongo.errors import DuplicateKeyError

from queues.ledgers import CredentialStore
from queues.model import Credential, CredentialKind, Revocations
from storage_drivers.mongodb import codec
from storage_drivers.mongodb.errors import bounded
from storage_drivers.mongodb.layout import (
    REVOCATIONS,
    Database,
    Document,
    escape,
    scoped_id,
    unescape,
)


class MongoCredentials(CredentialStore):
    """Credentials in the collection `credentials`."""

    def __init__(self, db: Database) -> None:
        self.db = db

    @bounded
    async def add(self, project: str, credential: Credential, *, now_ms: int) -> None:
        """See CredentialStore."""
        expired = {"_id": scoped_id(project, credential.id), "expires": {"$lte": now_ms}}
        changes = {
            "$set": codec.credential_fields(project, credential),
            "$unset": {"named": ""},
        }
        try:
            await self.db.credentials.update_one(expired, changes, upsert=True)
        except DuplicateKeyError:
            # NOTE: it was added before and has not expired, which is as well.
            return

    @bounded
    async def get(self, project: str, credential_id: str, *, now_ms: int) -> Credential | None:
        """See CredentialStore."""
        doc = await self.db.credentials.find_one(_live(project, credential_id, now_ms))
        return codec.credential(doc) if doc else None

    @bounded
    async def list(
        self, project: str, kind: CredentialKind, *, marker: str, limit: int, now_ms: int
    ) -> Sequence[Credential]:
        """See CredentialStore."""
        found = self.db.credentials.find(
            {
                "project": escape(project),
                "kind": kind.value,
                "live": True,
                "id": {"$gt": escape(marker)},
                "expires": {"$gt": now_ms},
            }
        )
        page = found.sort("id", ASCENDING).limit(limit)
        return [codec.credential(doc) async for doc in page]

    @bounded
    async def spend(self, project: str, credential_id: str, *, now_ms: int) -> bool:
        """See CredentialStore."""
        live = _live(project, credential_id, now_ms)
        credentials = self.db.credentials
        spent = await credentials.update_one(
            live | {"uses": {"$gt": 0}}, {"$inc": {"uses": -1}}
        )
        if spent.matched_count:
            return True
        any_number = live | {"uses": None}
        return await self.db.latest(credentials).find_one(any_number, {"_id": 1}) is not None

    @bounded
    async def revoke(self, project: str, credential_id: str, *, now_ms: int) -> bool:
        """See CredentialStore."""
        live = _live(project, credential_id, now_ms)
        named = await self.db.credentials.update_one(live, {"$set": {"named": True}})
        if not named.matched_count:
            return False
        await self._advance(now_ms)
        ended = await self.db.credentials.update_one(live, {"$set": {"live": False}})
        return bool(ended.matched_count)

    async def _advance(self, now_ms: int) -> None:
        """Make the version another one, above the last and above `now_ms`, in one command."""
        this = {"_id": REVOCATIONS}
        await self.db.credentials.bulk_write(
            [
                UpdateOne(this, {"$max": {"version": now_ms}}, upsert=True),
                UpdateOne(this, {"$inc": {"version": 1}}),
            ]
        )

    @bounded
    async def revocations(self, *, known: int, now_ms: int) -> Revocations | None:
        """See CredentialStore.

        NOTE: the version is read first, so the ids are at least those that it stands for. One
        more is that of a revocation under way, which changes the version before it returns.
        """
        latest = self.db.latest(self.db.credentials)
        doc = await latest.find_one({"_id": REVOCATIONS}, {"version": 1})
        version = doc["version"] if doc else 0
        if version == known:
            return None
        named = latest.find({"named": True, "expires": {"$gt": now_ms}}, {"_id": 0, "id": 1})
        return Revocations(version, frozenset([unescape(doc["id"]) async for doc in named]))


def _live(project: str, credential_id: str, now_ms: int) -> Document:
    """Return the condition for the credential while it is live."""
    return {
        "_id": scoped_id(project, credential_id),
        "live": True,
        "expires": {"$gt": now_ms},
    }
