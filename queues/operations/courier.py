"""One attempt to deliver one notification."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

from queues import (
    deliveries,
    filters,
    metadata,
    notifications,
    retries,
    subscribers,
    webhook_signatures,
)
from queues.clock import Clock
from queues.deliveries import Attempt, Delivery
from queues.model import Media
from queues.notifications import Letter
from queues.operations.delivery_book import Source
from queues.operations.subscription_book import SubscriptionBook
from queues.outboxes import Posted
from queues.retries import Outcome, Verdict
from queues.storage import Storage
from queues.subscribers import Subscriber
from queues.subscriptions import State, Subscription

ToJson = Callable[[bytes, Media], bytes]


class Parcel(NamedTuple):
    """What is to be sent to whom. `sender` and `subject` are for mail.

    `trust_id` is of the trust in whose name a token is to be shown.
    """

    to: Subscriber
    letter: Letter
    sender: str = ""
    subject: str = ""
    trust_id: str | None = None


class Outgoing(Protocol):
    """The way out of the house."""

    async def send(self, parcel: Parcel) -> Outcome:
        """Send, and return what became of it, in bounded time. Never raises."""

    async def close(self) -> None:
        """Close all connections."""


class Settled(NamedTuple):
    """What an attempt came to: how the delivery stands now, and when to try again, if ever."""

    verdict: Verdict
    delivery: Delivery
    due_ms: int | None


class Courier:
    """Makes letters of messages, signs them, hands them out, and judges what comes of it."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        book: SubscriptionBook,
        outgoing: Outgoing,
        to_json: ToJson,
    ) -> None:
        """Send through `outgoing`, by the policies of queues and subscriptions.

        `to_json` returns the body of a message as JSON.
        """
        self._storage = storage
        self._clock = clock
        self._book = book
        self._outgoing = outgoing
        self._to_json = to_json

    def letter(
        self, subscription: Subscription, queue: str, event_id: str, message: Posted
    ) -> Letter:
        """Return what a subscription is told of a message."""
        body = self._to_json(message.body, message.media)
        return notifications.of_message(subscription, queue, event_id, message, body)

    def is_wanted(self, subscription: Subscription, message: Posted) -> bool:
        """Say whether the message passes the filter of the subscription, as far as is clear."""
        wanted: Mapping[str, Any] | None = subscription.options.get("_filter")
        if wanted is None:
            return True
        metadata = {
            "client_id": message.client_id,
            "delay": message.delay_s or 0,
            "ttl": message.ttl_s,
        }
        body = json.loads(self._to_json(message.body, message.media))
        return filters.passes(wanted, body, metadata, unclear=True)

    async def attempt(
        self,
        source: Source,
        subscription: Subscription,
        letter: Letter,
        delivery: Delivery,
        webhook_id: str,
    ) -> Settled:
        """Make one attempt. A receiver that is gone for good ends its subscription."""
        outcome, attempt = await self._carry(subscription, letter, webhook_id)
        verdict = retries.verdict(outcome)
        policy: Mapping[str, Any] = {}
        if verdict is Verdict.RETRY:
            policy = await self._retry_policy(source, subscription)
        if verdict is Verdict.GONE:
            await self._book.change(*source, subscription.id, partial(_gone, subscription))
        chance = random.random()  # noqa: S311 (no secret)
        judged = deliveries.judged(delivery, outcome, attempt, policy=policy, chance=chance)
        return Settled(verdict, *judged)

    async def _carry(
        self, subscription: Subscription, letter: Letter, webhook_id: str
    ) -> tuple[Outcome, Attempt]:
        at_ms = self._clock.now_ms()
        signed = webhook_signatures.headers(
            subscription.secrets, webhook_id, at_ms // 1000, letter.body
        )
        to, options = subscribers.parse(subscription.subscriber), subscription.options
        parcel = Parcel(
            to,
            letter._replace(headers={**letter.headers, **signed}),
            sender=options.get("from") or "",
            subject=to.subject or options.get("subject") or "",
            trust_id=subscription.trust_id,
        )
        outcome = await self._outgoing.send(parcel)
        took_ms = max(0, self._clock.now_ms() - at_ms)
        return outcome, Attempt(at_ms, took_ms, outcome.status, outcome.error)

    async def _retry_policy(
        self, source: Source, subscription: Subscription
    ) -> Mapping[str, Any]:
        queue = await self._storage.queues.get(*source)
        of_queue = metadata.decode(queue.metadata).get("_retry_policy") if queue else None
        return retries.effective(subscription.options.get("_retry_policy"), of_queue)


def _gone(asked: Subscription, now: Subscription) -> Subscription:
    """Return the subscription without its receiver, unless it has another one by now."""
    return now._replace(state=State.GONE) if now.subscriber == asked.subscriber else now
