"""Which subscription of a queue an address belongs to: to one at the most, whoever races.

An address is a record of its own that names a subscription, and is stored before it. Whoever
finds an address without its subscription goes on with what was begun, under the same id; so
nobody can be in between, and whoever is killed there leaves nothing that anybody has to
clear away. What a cut-off change of an address leaves behind is free after `PATIENCE_MS`.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

from queues import ids
from queues.clock import Clock
from queues.errors import StorageUnavailable
from queues.model import Record, RecordKind
from queues.operations.subscription_book import SubscriptionBook
from queues.storage import Storage
from queues.subscriptions import Subscription

#: Nobody works longer than this on a change of an address.
PATIENCE_MS = 60_000

_ATTEMPTS = 10


class Place(NamedTuple):
    """An address of a queue of a project."""

    project: str
    queue: str
    subscriber: str

    @property
    def key(self) -> str:
        """The key of its record."""
        return hashlib.sha256(self.subscriber.encode()).hexdigest()


class SubscriberIndex:
    """The addresses that are taken."""

    def __init__(self, storage: Storage, clock: Clock, book: SubscriptionBook) -> None:
        """Keep addresses in `storage`, of the subscriptions in `book`."""
        self._storage = storage
        self._clock = clock
        self._book = book

    async def admit(self, place: Place, new_id: str, *, expires_ms: int) -> str | Subscription:
        """Return the id for a new subscription of this address, or the one that has it.

        The id may be another than `new_id`: that of somebody who has begun the same.
        """
        for _ in range(_ATTEMPTS):
            found = await self._take_free(place, new_id, expires_ms)
            if found is None:
                return new_id
            holder_id = _holder(found)
            holder = await self._book.find(place.project, place.queue, holder_id)
            if holder is not None and holder.subscriber == place.subscriber:
                return holder
            if holder is not None:
                self._check_abandoned(found)
                holder_id = new_id
            # NOTE: also writes when nothing changes, so that whoever deletes a subscription
            # of this address notices and leaves the address alone.
            if await self._give(place, found, holder_id, expires_ms):
                return holder_id
        raise StorageUnavailable("the address changes faster than the request can follow")

    async def move(self, place: Place, mover_id: str, *, expires_ms: int) -> bool:
        """Reserve the address for a subscription that exists; False if another one has it.

        Also when it has the address already: then this makes sure that it lasts.
        """
        for _ in range(_ATTEMPTS):
            found = await self._take_free(place, mover_id, expires_ms)
            if found is None:
                return True
            holder_id = _holder(found)
            if holder_id != mover_id:
                holder = await self._book.find(place.project, place.queue, holder_id)
                if holder is not None and holder.subscriber == place.subscriber:
                    return False
                self._check_abandoned(found)
            if await self._give(place, found, mover_id, expires_ms):
                return True
        raise StorageUnavailable("the address changes faster than the request can follow")

    async def find(self, place: Place) -> Record | None:
        """Return the record of an address, for `release`."""
        return await self._storage.records.get(
            place.project,
            RecordKind.SUBSCRIBER,
            place.queue,
            place.key,
            now_ms=self._clock.now_ms(),
        )

    async def release(self, place: Place, found: Record | None, holder_id: str) -> None:
        """Free the address, if it is still as it was `found` and of this subscription."""
        if found is not None and _holder(found) == holder_id:
            await self._storage.records.delete(
                place.project,
                RecordKind.SUBSCRIBER,
                place.queue,
                found.key,
                version=found.version,
                now_ms=self._clock.now_ms(),
            )

    async def _take_free(self, place: Place, holder_id: str, expires_ms: int) -> Record | None:
        """Store the address and return None, or return it as somebody else stored it."""
        record = Record(
            RecordKind.SUBSCRIBER,
            place.queue,
            place.key,
            self._document(holder_id),
            ids.new_version(),
            expires_ms=expires_ms,
        )
        create = self._storage.records.create
        while not await create(place.project, record, now_ms=self._clock.now_ms()):
            found = await self.find(place)
            if found is not None:
                return found
        return None

    async def _give(self, place: Place, found: Record, holder_id: str, expires_ms: int) -> bool:
        """Write who has the address, for as long as any of its holders needs it."""
        given = found._replace(
            document=self._document(holder_id),
            expires_ms=max(expires_ms, found.expires_ms or 0),
        )
        now_ms = self._clock.now_ms()
        return await self._storage.records.replace(place.project, given, now_ms=now_ms)

    def _check_abandoned(self, found: Record) -> None:
        since_ms = json.loads(found.document)["since_ms"]
        if self._clock.now_ms() - since_ms < PATIENCE_MS:
            raise StorageUnavailable("somebody else is just changing a subscription to this")

    def _document(self, holder_id: str) -> bytes:
        document = {"subscription": holder_id, "since_ms": self._clock.now_ms()}
        return json.dumps(document).encode()


def _holder(found: Record) -> str:
    holder: str = json.loads(found.document)["subscription"]
    return holder
