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
from queues.operations.agenda import LEASE_MS, Agenda
from queues.operations.lanes import Lanes
from queues.operations.policies import Policies
from queues.operations.subscription_book import SubscriptionBook
from queues.storage import Storage
from queues.subscriptions import Subscription

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
        page = await self._page(project, record.scope, "")
        known, active = len(page), await self._ring(project, record.scope, page)
        while len(page) == _PAGE:
            record = await self._extended(project, record)
            page = await self._page(project, record.scope, page[-1].id)
            active += await self._ring(project, record.scope, page)
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

    async def _page(self, project: str, queue: str, marker: str) -> Sequence[Subscription]:
        return await self._book.page(project, queue, marker=marker, limit=_PAGE)

    async def _ring(self, project: str, queue: str, page: Sequence[Subscription]) -> int:
        """Return how many of the subscriptions were rung for."""
        active = [one for one in page if await self._book.is_active(one)]
        for subscription in active:
            await self._lanes.ring(project, queue, subscription.id)
        return len(active)

    async def _extended(self, project: str, record: Record) -> Record:
        """Return the record under a new lease, as there may be more to ring than fits in one.

        Whoever has it by now rings as well, and settles it.
        """
        now_ms = self._clock.now_ms()
        longer = record._replace(due_ms=now_ms + LEASE_MS)
        if await self._storage.records.replace(project, longer, now_ms=now_ms):
            return longer._replace(version=longer.version + 1)
        return record
