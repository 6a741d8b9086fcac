"""Trying again: every delivery that was put aside, at its time, and notices from their first.

A delivery that waits is due by itself, apart from its lane, so that a message that cannot be
delivered holds up no other.
"""

from __future__ import annotations

import random
from collections import Counter

from queues import deliveries, lanes, notices
from queues.clock import Clock
from queues.deliveries import Delivery
from queues.model import Record, RecordKind, Taken
from queues.notifications import Letter
from queues.operations.agenda import Agenda
from queues.operations.courier import Courier
from queues.operations.delivery_book import DeliveryBook, Source
from queues.operations.lanes import Lanes
from queues.operations.subscription_book import SubscriptionBook
from queues.storage import Storage
from queues.subscriptions import Subscription

#: So many deliveries of one subscription are attempted by one process at the same time.
AT_A_TIME = 4

#: What there is no room for is put off by this, and up to twice as long.
_BUSY_MS = 2_000

#: What waits for a receiver that is away waits as long again, but not longer than this.
_LONGEST_WAIT_MS = 1_800_000

_NOT_KEPT = "the body is no longer kept"
_NOT_WANTED = "the subscription is not active"


class SecondAttempts:
    """Handles deliveries that are due."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        agenda: Agenda,
        *,
        book: SubscriptionBook,
        lane_book: Lanes,
        courier: Courier,
        delivery_book: DeliveryBook,
    ) -> None:
        """Handle what is due in `agenda`."""
        self._storage = storage
        self._clock = clock
        self._book = book
        self._lanes = lane_book
        self._courier = courier
        self._deliveries = delivery_book
        self._at_work: Counter[tuple[Source, str]] = Counter()
        agenda.handle(RecordKind.DELIVERY, self._try_again, errand=True)

    async def _try_again(self, taken: Taken) -> None:
        source, record = Source(taken.project, taken.record.scope), taken.record
        delivery = deliveries.read(record)
        recipient = await self._recipient(source, record, delivery)
        if recipient is None:
            await self._forget(source, record)
        elif delivery.notice is None and not await self._book.is_active(recipient):
            failed = delivery.failed(_NOT_WANTED, self._clock.now_ms())
            await self._deliveries.write(source, record.key, failed, known=record)
        elif self._at_work[source, recipient.id] >= AT_A_TIME:
            await self._put_off(source, record, delivery, _BUSY_MS)
        elif quiet_ms := await self._quiet_ms(source, recipient):
            await self._leave_alone(source, record, delivery, quiet_ms)
        else:
            await self._attempt(source, record, delivery, recipient)

    async def _leave_alone(
        self, source: Source, record: Record, delivery: Delivery, quiet_ms: int
    ) -> None:
        """Wait for a receiver that is away for as long again as before, but not for ever."""
        waited_ms = max(0, self._clock.now_ms() - delivery.since_ms)
        if waited_ms >= self._deliveries.patience_ms:
            await self._deliveries.give_up(source, record.key, delivery, known=record)
            return
        wait_ms = min(waited_ms, _LONGEST_WAIT_MS)
        await self._put_off(source, record, delivery, wait_ms, at_least_ms=quiet_ms)

    async def _put_off(
        self,
        source: Source,
        record: Record,
        delivery: Delivery,
        wait_ms: int,
        *,
        at_least_ms: int = 0,
    ) -> None:
        """Have a delivery attempted after `wait_ms`, or up to twice as long."""
        chance = random.uniform(1, 2)  # noqa: S311 (no secret)
        due_ms = self._clock.now_ms() + max(at_least_ms, round(wait_ms * chance))
        await self._deliveries.write(source, record.key, delivery, due_ms=due_ms, known=record)

    async def _attempt(
        self, source: Source, record: Record, delivery: Delivery, recipient: Subscription
    ) -> None:
        letter = await self._letter(source, record, delivery, recipient)
        if letter is None:
            failed = delivery.failed(_NOT_KEPT, self._clock.now_ms())
            await self._deliveries.write(source, record.key, failed, known=record)
            return
        mine = source, recipient.id
        self._at_work[mine] += 1
        try:
            settled = await self._courier.attempt(
                source, recipient, letter, delivery, deliveries.webhook_id(source, record.key)
            )
        finally:
            self._at_work[mine] -= 1
            if not self._at_work[mine]:
                del self._at_work[mine]
        await self._deliveries.write(
            source, record.key, settled.delivery, due_ms=settled.due_ms, known=record
        )

    async def _recipient(
        self, source: Source, record: Record, delivery: Delivery
    ) -> Subscription | None:
        if delivery.to is not None:
            return notices.recipient(delivery.to)
        return await self._book.find(*source, record.key.partition("/")[0])

    async def _letter(
        self, source: Source, record: Record, delivery: Delivery, recipient: Subscription
    ) -> Letter | None:
        if delivery.notice is not None:
            return notices.letter(recipient, delivery.notice)
        place = deliveries.place(record.key)
        message = await self._deliveries.message(source, place) if place else None
        if place is None or message is None:
            return None
        return self._courier.letter(recipient, source.queue, place.event_id, message)

    async def _quiet_ms(self, source: Source, recipient: Subscription) -> int:
        """Return how long the receiver is to be left alone, 0 if it is not away."""
        lane = await self._lanes.find(*source, recipient.id) if recipient.id else None
        return max(0, lanes.read(lane).quiet_until_ms - self._clock.now_ms()) if lane else 0

    async def _forget(self, source: Source, record: Record) -> None:
        await self._storage.records.delete(
            source.project,
            RecordKind.DELIVERY,
            source.queue,
            record.key,
            version=record.version,
            now_ms=self._clock.now_ms(),
        )
