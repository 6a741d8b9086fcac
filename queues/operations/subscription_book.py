"""Subscriptions as they are stored: found, listed, changed in one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from queues import ids, subscriptions
from queues.clock import Clock
from queues.errors import StorageUnavailable
from queues.model import Record, RecordKind
from queues.operations.credentials import CredentialRegister
from queues.storage import Storage
from queues.subscriptions import Subscription

_ATTEMPTS = 10


class Change(NamedTuple):
    """A subscription before and after it was changed."""

    before: Subscription
    after: Subscription


class SubscriptionBook:
    """The subscriptions of all queues."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        register: CredentialRegister,
        *,
        confirmation: bool,
    ) -> None:
        """Keep subscriptions in `storage`; `confirmation`: none is notified without."""
        self._storage = storage
        self._clock = clock
        self._register = register
        self._confirmation = confirmation

    async def is_active(self, subscription: Subscription) -> bool:
        """Say whether it is to be notified.

        SECURITY: a subscription ends with the credentials that it was made with.
        """
        if not subscription.is_active(confirmation=self._confirmation):
            return False
        lineage = subscription.lineage
        return not lineage or not await self._register.is_revoked(lineage)

    async def find(self, project: str, queue: str, subscription_id: str) -> Subscription | None:
        """Return the subscription, if there is one."""
        found = await self._record(project, queue, subscription_id)
        return subscriptions.read(found) if found else None

    async def page(
        self, project: str, queue: str, *, marker: str, limit: int
    ) -> Sequence[Subscription]:
        """Return up to `limit` subscriptions by id, from behind `marker`."""
        found = await self._storage.records.list(
            project,
            RecordKind.SUBSCRIPTION,
            queue,
            prefix="",
            marker=marker,
            limit=limit,
            now_ms=self._clock.now_ms(),
        )
        return [subscriptions.read(record) for record in found]

    async def add(self, project: str, queue: str, subscription: Subscription) -> bool:
        """Store it, if there is none of this id; say whether that was so."""
        record = subscriptions.record(
            queue, subscription, version=ids.new_version(), seal=self._seals
        )
        now_ms = self._clock.now_ms()
        return await self._storage.records.create(project, record, now_ms=now_ms)

    async def change(
        self,
        project: str,
        queue: str,
        subscription_id: str,
        alter: Callable[[Subscription], Subscription],
    ) -> Change | None:
        """Put what `alter` makes of it in its place; None if there is none."""
        for _ in range(_ATTEMPTS):
            found = await self._record(project, queue, subscription_id)
            if found is None:
                return None
            before = subscriptions.read(found)
            after = alter(before)
            record = subscriptions.record(queue, after, version=found.version, seal=self._seals)
            now_ms = self._clock.now_ms()
            if await self._storage.records.replace(project, record, now_ms=now_ms):
                return Change(before, after)
        raise StorageUnavailable("the subscription changes faster than the request can follow")

    async def remove(self, project: str, queue: str, subscription_id: str) -> bool:
        """Remove it; say whether it was there."""
        return await self._storage.records.delete(
            project,
            RecordKind.SUBSCRIPTION,
            queue,
            subscription_id,
            version=None,
            now_ms=self._clock.now_ms(),
        )

    async def _record(self, project: str, queue: str, subscription_id: str) -> Record | None:
        return await self._storage.records.get(
            project,
            RecordKind.SUBSCRIPTION,
            queue,
            subscription_id,
            now_ms=self._clock.now_ms(),
        )

    @property
    def _seals(self) -> bool:
        # SECURITY: they hold secrets, so they are encrypted wherever that is possible.
        return self._storage.capabilities.encrypts
