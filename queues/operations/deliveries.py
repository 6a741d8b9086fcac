"""What tenants may do with deliveries: look at them, and have them sent again."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from queues import deliveries
from queues.clock import Clock
from queues.deliveries import Delivery, State
from queues.errors import InvalidRequest
from queues.limits import Limits, check_count
from queues.model import Record, RecordKind
from queues.operations.delivery_book import DeliveryBook, Source
from queues.operations.subscriptions import SubscriptionOperations
from queues.storage import Storage

#: One call looks at no more than this many.
READ_PER_CALL = 1000
MAX_IDS = 100

_PAGE = 100
_MESSAGE = re.compile(r"[0-9a-f]{14}-[0-9a-f]{6}", re.ASCII)


class Listed(NamedTuple):
    """A delivery with the id under which its subscription knows it."""

    id: str
    delivery: Delivery
    due_ms: int | None


class DeliveryPage(NamedTuple):
    """A page of deliveries. It may be short, even empty, and still have a marker."""

    deliveries: Sequence[Listed]
    marker: str | None


class Selection(NamedTuple):
    """Which deliveries to send again: those of `ids`, or all that `state` and time choose."""

    ids: Sequence[str] | None = None
    state: State | None = None
    since_ms: int | None = None
    marker: str = ""


class Replayed(NamedTuple):
    """How many will be sent again, and where to go on if not all were looked at."""

    number: int
    marker: str | None


class DeliveryOperations:
    """List deliveries of a subscription, and replay them."""

    def __init__(
        self,
        storage: Storage,
        limits: Limits,
        clock: Clock,
        *,
        subscriptions: SubscriptionOperations,
        delivery_book: DeliveryBook,
    ) -> None:
        """Work on `storage` under `limits`."""
        self._storage = storage
        self._limits = limits
        self._clock = clock
        self._subscriptions = subscriptions
        self._deliveries = delivery_book

    async def list(
        self,
        source: Source,
        subscription_id: str,
        *,
        state: State | None,
        marker: str,
        limit: int,
    ) -> DeliveryPage:
        """Return a page of deliveries in the order of the queue, oldest first.

        Raises: InvalidRequest for a limit out of range; SubscriptionNotFound.
        """
        check_count("limit", limit, self._limits.max_subscriptions_per_page)
        await self._subscriptions.get(*source, subscription_id)
        page: list[Listed] = []
        looked_at, last = 0, None
        async for record in self._after(source, subscription_id, marker):
            looked_at, last = looked_at + 1, _id(record)
            delivery = deliveries.read(record)
            if state in (None, delivery.state):
                page.append(Listed(last, delivery, record.due_ms))
            if len(page) == limit or looked_at == READ_PER_CALL:
                return DeliveryPage(page, last)
        return DeliveryPage(page, page[-1].id if page else None)

    async def replay(
        self, source: Source, subscription_id: str, selection: Selection
    ) -> Replayed:
        """Have deliveries sent again, from the first attempt on, under the same ids.

        What is on its way already is left alone, and what does not exist is skipped.

        Raises: InvalidRequest for too many ids; SubscriptionNotFound.
        """
        await self._subscriptions.get(*source, subscription_id)
        if selection.ids is not None:
            check_count("ids", len(selection.ids), MAX_IDS)
            named = [await self._find(source, subscription_id, one) for one in selection.ids]
            found = [record for record in named if record is not None]
            return Replayed(await self._again(source, found), None)
        chosen, marker = await self._selected(source, subscription_id, selection)
        return Replayed(await self._again(source, chosen), marker)

    async def _selected(
        self, source: Source, subscription_id: str, selection: Selection
    ) -> tuple[Sequence[Record], str | None]:
        found, looked_at = [], 0
        async for record in self._after(source, subscription_id, selection.marker):
            delivery = deliveries.read(record)
            if selection.state in (None, delivery.state) and delivery.since_ms >= (
                selection.since_ms or 0
            ):
                found.append(record)
            looked_at += 1
            if looked_at == READ_PER_CALL:
                return found, _id(record)
        return found, None

    async def _again(self, source: Source, records: Sequence[Record]) -> int:
        settled = [one for one in records if deliveries.read(one).state is not State.PENDING]
        for record in settled:
            await self._deliveries.write_again(source, record)
        return len(settled)

    async def _find(self, source: Source, subscription_id: str, one: str) -> Record | None:
        return await self._storage.records.get(
            source.project,
            RecordKind.DELIVERY,
            source.queue,
            _key(subscription_id, one),
            now_ms=self._clock.now_ms(),
        )

    async def _after(
        self, source: Source, subscription_id: str, marker: str
    ) -> AsyncIterator[Record]:
        key = _key(subscription_id, marker)
        while True:
            found = await self._storage.records.list(
                source.project,
                RecordKind.DELIVERY,
                source.queue,
                prefix=f"{subscription_id}/",
                marker=key,
                limit=_PAGE,
                now_ms=self._clock.now_ms(),
            )
            for record in found:
                yield record
            if len(found) < _PAGE:
                return
            key = found[-1].key


def parse_state(text: str | None) -> State | None:
    """Return the state with this name, None for none.

    Raises: InvalidRequest.
    """
    if text is None:
        return None
    if text not in list(State):
        raise InvalidRequest(f"state must be one of {', '.join(State)}.")
    return State(text)


def _id(record: Record) -> str:
    """Return the id of a delivery: its key without the subscription, safe in a URL."""
    return record.key.partition("/")[2].replace("/", "-")


def _key(subscription_id: str, delivery_id: str) -> str:
    """Return the key of a delivery; of what is no id, a key that nothing has."""
    is_message = _MESSAGE.fullmatch(delivery_id) is not None
    rest = delivery_id.replace("-", "/") if is_message else delivery_id
    return f"{subscription_id}/{rest}"
