"""Sending notices: stored first, then attempted like any delivery, for days if need be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from queues import ids
from queues.clock import Clock
from queues.deliveries import Delivery
from queues.model import Record, RecordKind
from queues.operations.agenda import Agenda
from queues.storage import Storage


class Notices:
    """The way from the rest of the house into the outbox."""

    def __init__(
        self, storage: Storage, clock: Clock, agenda: Agenda, *, retention_s: int
    ) -> None:
        """Keep what became of notices for `retention_s`."""
        self._storage = storage
        self._clock = clock
        self._agenda = agenda
        self._retention_ms = retention_s * 1000

    async def send(
        self,
        project: str,
        scope: str,
        key: str,
        notice: Mapping[str, Any],
        *,
        to: Mapping[str, Any] | None = None,
    ) -> None:
        """Have the notice delivered, at least once, whatever happens to this process.

        A second one under the same key is the same notice. Without `to` (`queues.notices`)
        it goes to the subscription of the queue `scope` that stands before the `/` in `key`.
        """
        now_ms = self._clock.now_ms()
        delivery = Delivery(since_ms=now_ms, notice=notice, to=to)
        record = Record(
            RecordKind.DELIVERY,
            scope,
            key,
            delivery.document(),
            ids.new_version(),
            due_ms=now_ms,
            expires_ms=now_ms + self._retention_ms,
            # SECURITY: it may hold signatures and secrets.
            seal=self._storage.capabilities.encrypts,
        )
        await self._storage.records.create(project, record, now_ms=now_ms)
        self._agenda.ring()
