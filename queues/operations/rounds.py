"""Working on a lane: in rounds, each of which makes some first attempts at the same time.

    read what comes next -> attempt it -> write what became of it -> write where the lane is

A kill between two of these repeats what follows the first. What was written of a delivery is
left alone then, so only what was sent and not yet written is sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from queues import deliveries, outboxes, plans
from queues.clock import Clock
from queues.deliveries import Delivery, Place, State
from queues.model import Record, RecordKind, Taken
from queues.operations.agenda import Agenda
from queues.operations.courier import Courier
from queues.operations.delivery_book import DeliveryBook
from queues.operations.lanes import Lanes
from queues.operations.subscribers import PATIENCE_MS
from queues.operations.subscription_book import SubscriptionBook
from queues.operations.turns import LaneLost, Turn
from queues.plans import Next, Result
from queues.storage import Storage
from queues.subscriptions import Subscription

#: So many messages of so many posts are read at a time.
_MESSAGES = 256
_POSTS = 8

#: What was posted, and may still get company below it, is looked at again after this.
_UNSETTLED_MS = 500


class Rounds:
    """Handles lanes that are due."""

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
        self._agenda = agenda
        self._book = book
        self._lanes = lane_book
        self._courier = courier
        self._deliveries = delivery_book
        agenda.handle(RecordKind.LANE, self._work, errand=True)

    async def _work(self, taken: Taken) -> None:
        turn = Turn(self._storage, self._clock, taken)
        try:
            while await self._round(turn):
                pass
        except LaneLost:
            return
        except asyncio.CancelledError:
            await turn.leave()
            raise

    async def _round(self, turn: Turn) -> bool:
        """Do some of the work; say whether to go on."""
        subscription = await self._book.find(*turn.source, turn.subscription_id)
        if subscription is None:
            return await self._wait_for_subscription(turn)
        if not await self._book.is_active(subscription):
            return not await turn.rest(await self._lanes.at_the_end(*turn.source), None)
        now_ms, lane = self._clock.now_ms(), turn.lane
        if lane.quiet_until_ms > now_ms:
            return not await turn.rest(lane, lane.quiet_until_ms)
        # NOTE: usually somebody has just posted, between one look and the other.
        unsettled = await self._look(turn) and await self._look(turn)
        if not turn.ahead:
            due_ms = now_ms + _UNSETTLED_MS if unsettled else 0
            return not await turn.rest(lane._replace(waits_until_ms=due_ms), due_ms or None)
        if turn.is_over or self._agenda.is_closed:
            return not await turn.rest(lane, now_ms)
        return await self._do(turn, subscription)

    async def _wait_for_subscription(self, turn: Turn) -> bool:
        """Leave the lane to whoever stores a subscription for it, but not for ever."""
        now_ms, since_ms = self._clock.now_ms(), turn.lane.alone_since_ms
        if since_ms and since_ms + PATIENCE_MS <= now_ms:
            await turn.close(self._lanes)
            return False
        due_ms = now_ms + PATIENCE_MS
        lane = turn.lane._replace(alone_since_ms=since_ms or now_ms, waits_until_ms=due_ms)
        return not await turn.rest(lane, due_ms)

    async def _look(self, turn: Turn) -> bool:
        """Read what comes next, if it is not known; say whether there is only more to come.

        PERF: much at a time, as posts of thousands of messages have to be read as a whole.
        """
        if not turn.ahead:
            turn.ahead, unsettled = await self._read(turn)
            turn.known = await self._known(turn) if turn.ahead else {}
            return unsettled and not turn.ahead
        return False

    async def _read(self, turn: Turn) -> tuple[Sequence[Next], bool]:
        """Return what comes next, and whether there is more that may still get company.

        That is not read before nothing can come in between any more.
        """
        end = (await self._lanes.at_the_end(*turn.source)).after
        records = await self._storage.records.list(
            turn.source.project,
            RecordKind.OUTBOX,
            turn.source.queue,
            prefix="",
            marker=turn.lane.after,
            limit=_POSTS,
            now_ms=self._clock.now_ms(),
        )
        found: list[Next] = []
        for record in records:
            if record.key > end:
                return found, True
            found += _messages(turn, record, _MESSAGES - len(found))
            if len(found) == _MESSAGES:
                break
        return found, False

    async def _do(self, turn: Turn, subscription: Subscription) -> bool:
        """Attempt what comes next, write where that leads the lane; say whether to go on."""
        known, ordered = turn.known, subscription.is_ordered
        now_ms, lane = self._clock.now_ms(), turn.lane
        plan = plans.make(
            turn.ahead,
            lambda one: (
                _is_open(known.get(one.place.key))
                and self._courier.is_wanted(subscription, one.message)
            ),
            ordered=ordered,
            window=turn.window,
            now_ms=now_ms,
            hopeless_ms=now_ms - self._deliveries.patience_ms if lane.is_failing else 0,
        )
        await asyncio.gather(
            *(self._put_aside(turn, one) for one in plan.aside),
            *(self._give_up(turn, one) for one in plan.hopeless),
        )
        results = await asyncio.gather(
            *(self._attempt(turn, subscription, one) for one in plan.attempts)
        )
        lane = plans.lane_after(lane, plan, results, ordered=ordered, now_ms=now_ms)
        # NOTE: an ordered lane that stops reads again what was written meanwhile.
        stops = ordered and any(one.due_ms is not None for one in results)
        turn.ahead = () if stops else turn.ahead[len(plan.passed) :]
        turn.open_up(went_well=not lane.failures)
        if plan.wait_until_ms and not results:
            waiting = lane._replace(waits_until_ms=plan.wait_until_ms)
            return not await turn.rest(waiting, plan.wait_until_ms)
        await turn.go_on(lane)
        return True

    async def _known(self, turn: Turn) -> Mapping[str, Record]:
        """Return what was written of what comes next, by a turn that was cut off."""
        first = turn.ahead[0].place
        found = await self._storage.records.list(
            turn.source.project,
            RecordKind.DELIVERY,
            turn.source.queue,
            prefix=f"{first.subscription_id}/",
            # NOTE: all before this are behind the lane; all behind it were left by that turn.
            marker=first.before,
            limit=len(turn.ahead),
            now_ms=self._clock.now_ms(),
        )
        return {record.key: record for record in found}

    async def _attempt(self, turn: Turn, subscription: Subscription, one: Next) -> Result:
        source, key, record = turn.source, one.place.key, turn.known.get(one.place.key)
        delivery = _delivery(one, record)
        letter = self._courier.letter(
            subscription, source.queue, one.place.event_id, one.message
        )
        settled = await self._courier.attempt(
            source, subscription, letter, delivery, deliveries.webhook_id(source, key)
        )
        # NOTE: in an ordered lane the lane itself tries again.
        due_ms = None if subscription.is_ordered else settled.due_ms
        await self._deliveries.write(source, key, settled.delivery, due_ms=due_ms, known=record)
        return Result(settled.verdict, settled.due_ms)

    async def _put_aside(self, turn: Turn, one: Next) -> None:
        due_ms = one.message.due_ms
        delivery = Delivery(since_ms=due_ms)
        await self._deliveries.write(turn.source, one.place.key, delivery, due_ms=due_ms)

    async def _give_up(self, turn: Turn, one: Next) -> None:
        record = turn.known.get(one.place.key)
        delivery = _delivery(one, record)
        await self._deliveries.give_up(turn.source, one.place.key, delivery, known=record)


def _messages(turn: Turn, record: Record, limit: int) -> list[Next]:
    """Return what the lane has not passed of a post."""
    start = turn.lane.done if record.key == turn.lane.part else 0
    messages, size = outboxes.read(record, start=start, limit=limit)
    return [
        Next(Place(turn.subscription_id, record.key, message.number), message, size)
        for message in messages
    ]


def _is_open(record: Record | None) -> bool:
    """Say whether the lane has to do with a delivery: nobody else has, and it is not over."""
    if record is None:
        return True
    return record.due_ms is None and deliveries.read(record).state is State.PENDING


def _delivery(one: Next, record: Record | None) -> Delivery:
    return deliveries.read(record) if record else Delivery(since_ms=one.message.due_ms)
