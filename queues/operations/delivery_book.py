"""Deliveries as they are stored, and the bodies that belong to them."""

from __future__ import annotations

from typing import NamedTuple

from queues import deliveries, ids, outboxes
from queues.clock import Clock
from queues.deliveries import Delivery, Place, State
from queues.model import Record, RecordKind
from queues.operations.agenda import Agenda
from queues.outboxes import Posted
from queues.storage import Storage

_ATTEMPTS = 10

_NEVER_TRIED = "the receiver was away for too long"


class Source(NamedTuple):
    """The queue that deliveries come from."""

    project: str
    queue: str


class DeliveryBook:
    """The deliveries of all subscriptions."""

    def __init__(
        self, storage: Storage, clock: Clock, agenda: Agenda, *, retention_s: int
    ) -> None:
        """Keep deliveries, and the bodies of dead letters, for `retention_s`.

        What the receiver is away for so long that its body will soon be gone becomes a dead
        letter: after three quarters of it.
        """
        self._storage = storage
        self._clock = clock
        self._agenda = agenda
        self._retention_ms = retention_s * 1000
        self.patience_ms = retention_s * 750

    async def write(
        self,
        source: Source,
        key: str,
        delivery: Delivery,
        *,
        due_ms: int | None = None,
        known: Record | None = None,
    ) -> None:
        """Write how a delivery stands, in place of the `known` record if there is one.

        Whoever was faster is not overwritten: then two have attempted the same, and what one
        of them says is as true. The body of a dead letter is kept as long as the letter, and
        so is that of what waits for longer than bodies are kept by themselves.
        """
        now_ms = self._clock.now_ms()
        # NOTE: what is pending is written again before that.
        expires_ms = max(now_ms, due_ms or 0) + self._retention_ms
        waits_long = (due_ms or 0) > delivery.since_ms + self.patience_ms
        if waits_long or delivery.state is State.FAILED:
            await self._keep_body(source, key, expires_ms)
        fresh = Record(RecordKind.DELIVERY, source.queue, key, b"", ids.new_version())
        written = (known or fresh)._replace(
            document=delivery.document(), due_ms=due_ms, expires_ms=expires_ms
        )
        store = self._storage.records.replace if known else self._storage.records.create
        await store(source.project, written, now_ms=now_ms)
        if due_ms is not None and due_ms <= now_ms:
            self._agenda.ring()

    async def write_again(self, source: Source, record: Record) -> None:
        """Have a delivery attempted now, as if for the first time."""
        now_ms = self._clock.now_ms()
        again = deliveries.read(record)._replace(
            state=State.PENDING, failures=0, since_ms=now_ms
        )
        await self._keep_body(source, record.key, now_ms + self._retention_ms)
        await self.write(source, record.key, again, due_ms=now_ms, known=record)

    async def give_up(
        self, source: Source, key: str, delivery: Delivery, *, known: Record | None
    ) -> None:
        """Make a dead letter of what the receiver is away for too long for."""
        failed = delivery.failed(_NEVER_TRIED, self._clock.now_ms())
        await self.write(source, key, failed, known=known)

    async def message(self, source: Source, place: Place) -> Posted | None:
        """Return the message of a delivery; None if its body is no longer kept."""
        found = await self._outbox(source, place.outbox_key)
        if found is None:
            return None
        messages = outboxes.read(found, start=place.number, limit=1).messages
        return messages[0] if messages else None

    async def _keep_body(self, source: Source, key: str, until_ms: int) -> None:
        place = deliveries.place(key)
        if place is None:
            return
        for _ in range(_ATTEMPTS):
            found = await self._outbox(source, place.outbox_key)
            if found is None or (found.expires_ms or until_ms) >= until_ms:
                return
            kept = found._replace(expires_ms=until_ms)
            now_ms = self._clock.now_ms()
            if await self._storage.records.replace(source.project, kept, now_ms=now_ms):
                return

    async def _outbox(self, source: Source, outbox_key: str) -> Record | None:
        return await self._storage.records.get(
            source.project,
            RecordKind.OUTBOX,
            source.queue,
            outbox_key,
            now_ms=self._clock.now_ms(),
        )
