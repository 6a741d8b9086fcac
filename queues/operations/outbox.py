"""The outbox: what was posted and is to be notified of, stored in one step with the post.

A record of it is due at once. It is handled by making the lanes of all subscriptions of the
queue due; then it stays, as the body of what is delivered and delivered again, until the
retention is over.
"""

from __future__ import annotations

from collections.abc import Sequence

from queues import ids, outboxes
from queues.clock import Clock
from queues.metadata import QueuePolicy
from queues.model import NewMessage, Record, RecordKind, Taken
from queues.operations.agenda import Agenda
from queues.operations.lanes import Lanes
from queues.operations.policies import Policies
from queues.operations.subscription_book import SubscriptionBook
from queues.storage import Storage

_PAGE = 100


class Outbox:
    """Makes outbox records, and rings the lanes for them."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        agenda: Agenda,
        policies: Policies,
        *,
        book: SubscriptionBook,
        lane_book: Lanes,
        retention_s: int,
    ) -> None:
        """Handle what is due in `agenda`; keep bodies for `retention_s`."""
        self._storage = storage
        self._clock = clock
        self._agenda = agenda
        self._policies = policies
        self._book = book
        self._lanes = lane_book
        self._retention_ms = retention_s * 1000
        agenda.handle(RecordKind.OUTBOX, self._announce)

    def entry(
        self, queue: str, policy: QueuePolicy, messages: Sequence[NewMessage], now_ms: int
    ) -> Record:
        """Return the record to be stored with a post."""
        return Record(
            RecordKind.OUTBOX,
            queue,
            "",
            outboxes.encode(messages, delayed=policy.message_delay_s > 0, now_ms=now_ms),
            ids.new_version(),
            due_ms=now_ms,
            expires_ms=now_ms + self._retention_ms,
            seal=any(message.seal for message in messages),
        )

    def stored(self) -> None:
        """Look after a record that was stored just now."""
        self._agenda.ring()

    async def _announce(self, taken: Taken) -> None:
        """Ring the lanes of all who are to hear of a post; keep its record for them."""
        project, record = taken
        known, active = await self._ring(project, record.scope)
        if not known:
            # NOTE: subscriptions that ended by themselves; posts need no record any more.
            self._policies.forget(project, record.scope)
        now_ms = self._clock.now_ms()
        if active:
            settled = record._replace(due_ms=None)
            await self._storage.records.replace(project, settled, now_ms=now_ms)
            self._agenda.ring()
        else:
            await self._storage.records.delete(
                project,
                RecordKind.OUTBOX,
                record.scope,
                record.key,
                version=record.version,
                now_ms=now_ms,
            )

    async def _ring(self, project: str, queue: str) -> tuple[int, int]:
        """Return how many subscriptions there are, and how many of them were rung for."""
        known, active, marker = 0, 0, ""
        while True:
            page = await self._book.page(project, queue, marker=marker, limit=_PAGE)
            known += len(page)
            for subscription in page:
                if await self._book.is_active(subscription):
                    await self._lanes.ring(project, queue, subscription.id)
                    active += 1
            if len(page) < _PAGE:
                return known, active
            marker = page[-1].id
