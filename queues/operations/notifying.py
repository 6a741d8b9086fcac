"""Everything between a post and its subscribers, joined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypedDict

from queues.clock import Clock
from queues.destinations import Destinations
from queues.limits import Limits
from queues.operations.agenda import Agenda
from queues.operations.confirmations import Confirmations
from queues.operations.courier import Courier, Outgoing, ToJson
from queues.operations.credentials import CredentialRegister
from queues.operations.deliveries import DeliveryOperations
from queues.operations.delivery_book import DeliveryBook
from queues.operations.lanes import Lanes
from queues.operations.notices import Notices
from queues.operations.outbox import Outbox
from queues.operations.policies import Policies
from queues.operations.queues import QueueOperations
from queues.operations.rounds import Rounds
from queues.operations.second_attempts import SecondAttempts
from queues.operations.subscribers import SubscriberIndex
from queues.operations.subscription_book import SubscriptionBook
from queues.operations.subscriptions import SubscriptionOperations, Trusts
from queues.storage import Storage


class _Parts(TypedDict):
    """What the handlers of lanes and of deliveries have in common."""

    book: SubscriptionBook
    lane_book: Lanes
    courier: Courier
    delivery_book: DeliveryBook


class Notifying(NamedTuple):
    """How a service notifies: the way out and where it may lead, trusts, whether to ask before.

    Mails lead to `confirmation_url` for an answer, which is to be sent to `public_url`.
    Without a way out, what is to be sent waits for a process that has one.
    """

    outgoing: Outgoing | None = None
    destinations: Destinations = Destinations()
    trusts: Trusts | None = None
    confirmation: bool = False
    confirmation_url: str = ""
    public_url: str = ""


class Notifications:
    """The parts that others need: `outbox` for posts, `notices`, and what tenants may do."""

    def __init__(
        self,
        storage: Storage,
        limits: Limits,
        clock: Clock,
        agenda: Agenda,
        policies: Policies,
        queues: QueueOperations,
        register: CredentialRegister,
        *,
        keys: Mapping[str, bytes],
        to_json: ToJson,
        settings: Notifying,
    ) -> None:
        """Join the parts; confirmations are signed with the first of `keys`.

        Raises: ConfigurationError.
        """
        retention_s = limits.notification_retention_s
        book = SubscriptionBook(storage, clock, register, confirmation=settings.confirmation)
        lane_book = Lanes(storage, clock)
        self.outbox = Outbox(
            storage,
            clock,
            agenda,
            policies,
            book=book,
            lane_book=lane_book,
            retention_s=retention_s,
        )
        self.notices = Notices(storage, clock, agenda, retention_s=retention_s)
        self.subscriptions = SubscriptionOperations(
            limits,
            clock,
            policies,
            queues,
            book=book,
            index=SubscriberIndex(storage, clock, book),
            lane_book=lane_book,
            confirmations=Confirmations(
                clock,
                self.notices,
                demanded=settings.confirmation,
                keys=keys,
                page_url=settings.confirmation_url,
                public_url=settings.public_url,
                unsubscribed_ttl_s=limits.default_subscription_ttl_s,
            ),
            destinations=settings.destinations,
            trusts=settings.trusts,
        )
        delivery_book = DeliveryBook(storage, clock, agenda, retention_s=retention_s)
        self.deliveries = DeliveryOperations(
            storage,
            limits,
            clock,
            subscriptions=self.subscriptions,
            delivery_book=delivery_book,
        )
        if settings.outgoing is not None:
            parts: _Parts = {
                "book": book,
                "lane_book": lane_book,
                "courier": Courier(storage, clock, book, settings.outgoing, to_json),
                "delivery_book": delivery_book,
            }
            Rounds(storage, clock, agenda, **parts)
            SecondAttempts(storage, clock, agenda, **parts)
