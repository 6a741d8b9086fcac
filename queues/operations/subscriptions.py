"""What may happen to subscriptions."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Protocol

from queues import subscribers, subscriptions, webhook_signatures
from queues.clock import Clock
from queues.destinations import Destinations
from queues.errors import (
    InvalidRequest,
    StorageUnavailable,
    SubscriptionExists,
    SubscriptionNotFound,
)
from queues.identity import Identity
from queues.limits import Limits, check_count
from queues.operations.confirmations import Confirmations
from queues.operations.lanes import Lanes
from queues.operations.policies import Policies
from queues.operations.queues import QueueOperations
from queues.operations.subscribers import Place, SubscriberIndex
from queues.operations.subscription_book import SubscriptionBook
from queues.subscriptions import State, Subscription, Wanted

_PAGE = 100
_ATTEMPTS = 10


class Caller(NamedTuple):
    """Who asks, and the token of Keystone that proved it, if one did."""

    identity: Identity
    token: str | None = None


class Made(NamedTuple):
    """What a creation did: the id, the secret that was made, and whether it made the queue.

    The secret is shown this once.
    """

    id: str
    secret: str | None
    made_queue: bool


class View(NamedTuple):
    """Subscriptions, and the time at which they are looked at."""

    subscriptions: Sequence[Subscription]
    now_ms: int


class Trusts(Protocol):
    """Makes trusts of an identity service."""

    async def make(self, caller: Caller, *, expires_ms: int) -> str:
        """Let this service act for the caller until then; return the id of the trust.

        Raises: InvalidRequest when the caller's credential cannot be trusted on.
        """


class SubscriptionOperations:
    """Create, list, change, confirm and delete subscriptions."""

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        policies: Policies,
        queues: QueueOperations,
        *,
        book: SubscriptionBook,
        index: SubscriberIndex,
        lane_book: Lanes,
        confirmations: Confirmations,
        destinations: Destinations,
        trusts: Trusts | None,
    ) -> None:
        """Work on `book` under `limits`; without `trusts` there are no trusted subscribers."""
        self._limits = limits
        self._clock = clock
        self._policies = policies
        self._queues = queues
        self._book = book
        self._index = index
        self._lanes = lane_book
        self._confirmations = confirmations
        self._destinations = destinations
        self._trusts = trusts

    async def create(self, caller: Caller, queue: str, wanted: Wanted) -> Made:
        """Subscribe; an absent queue is created. Posts that begin after this are notified of.

        An address whose subscription is not confirmed keeps that one as it is, and is asked
        again to confirm.

        Raises: InvalidRequest, QuotaExceeded (nothing is created then); SubscriptionExists
        for an address with a confirmed subscription.
        """
        new, secret = self._new(caller, wanted)
        project = caller.identity.project
        made_queue = await self._queues.create(project, queue, {})
        stored = await self._store(caller, queue, new)
        if stored.state is State.CONFIRMED:
            raise SubscriptionExists(
                f"Subscription {stored.id} of queue {queue} has this subscriber already."
            )
        await self._policies.renew(project, queue)
        await self._confirmations.ask(project, queue, stored)
        shown = secret if stored.secrets == new.secrets else None
        return Made(stored.id, shown, made_queue)

    async def list(self, project: str, queue: str, *, marker: str, limit: int) -> View:
        """Return a page of subscriptions by id; of an absent queue, too.

        Raises: InvalidRequest for a limit out of range.
        """
        check_count("limit", limit, self._limits.max_subscriptions_per_page)
        page = await self._book.page(project, queue, marker=marker, limit=limit)
        return View(page, self._clock.now_ms())

    async def show(self, project: str, queue: str, subscription_id: str) -> View:
        """Return one subscription.

        Raises: SubscriptionNotFound.
        """
        found = await self.get(project, queue, subscription_id)
        return View([found], self._clock.now_ms())

    async def get(self, project: str, queue: str, subscription_id: str) -> Subscription:
        """Return a subscription.

        Raises: SubscriptionNotFound.
        """
        found = await self._book.find(project, queue, subscription_id)
        if found is None:
            raise _not_found(queue, subscription_id)
        return found

    async def update(
        self, caller: Caller, queue: str, subscription_id: str, wanted: Wanted
    ) -> None:
        """Change a subscription. A new ttl counts from now, a new address has to confirm anew.

        Secrets stay unless there are new ones among the options.

        Raises: InvalidRequest, SubscriptionNotFound; SubscriptionExists for an address that
        has another subscription. Nothing is changed then.
        """
        self._check(wanted)
        project, now_ms = caller.identity.project, self._clock.now_ms()
        start = await self._lanes.at_the_end(project, queue)
        found = await self.get(project, queue, subscription_id)
        change_of = partial(
            subscriptions.changed, wanted=wanted, lineage=caller.identity.lineage, now_ms=now_ms
        )
        planned = change_of(found)
        old, new = (Place(project, queue, one.subscriber) for one in (found, planned))
        if old != new or planned.expires_ms != found.expires_ms:
            self._check_end(caller.identity, planned.expires_ms)
        old_address = await self._index.find(old)
        if not await self._index.move(new, found.id, expires_ms=planned.expires_ms):
            raise SubscriptionExists(f"Queue {queue} has another subscription of {new[2]}.")
        trust_id = found.trust_id if old == new else await self._trust(caller, planned)
        await self._lanes.keep(project, queue, found.id, expires_ms=planned.expires_ms)
        if old != new and not await self._book.is_active(found):
            await self._lanes.open(project, queue, planned, start)
        change = await self._book.change(
            project,
            queue,
            subscription_id,
            lambda before: change_of(before)._replace(trust_id=trust_id),
        )
        if change is None:
            raise _not_found(queue, subscription_id)
        if old != new:
            await self._index.release(old, old_address, found.id)
            await self._confirmations.ask(project, queue, change.after)

    async def confirm(
        self, project: str, queue: str, subscription_id: str, *, confirmed: bool
    ) -> None:
        """Note that the subscriber agrees, or that it wants no more.

        Raises: SubscriptionNotFound.
        """
        start = await self._lanes.at_the_end(project, queue)
        found = await self.get(project, queue, subscription_id)
        if confirmed and not await self._book.is_active(found):
            await self._lanes.open(project, queue, found, start)
        state = State.CONFIRMED if confirmed else State.UNSUBSCRIBED
        change = await self._book.change(
            project, queue, subscription_id, lambda now: now._replace(state=state)
        )
        if change is None:
            raise _not_found(queue, subscription_id)
        if not confirmed:
            await self._confirmations.tell_end(project, queue, change.after)

    async def delete(self, project: str, queue: str, subscription_id: str) -> None:
        """Delete a subscription, with all that is on its way. Repeating is no error."""
        if await self._remove(project, queue, subscription_id):
            await self._policies.renew(project, queue)

    async def purge(self, project: str, queue: str) -> None:
        """Delete all subscriptions of a queue."""
        marker, removed = "", False
        while page := await self._book.page(project, queue, marker=marker, limit=_PAGE):
            for subscription in page:
                removed |= await self._remove(project, queue, subscription.id)
            marker = page[-1].id
        if removed:
            await self._policies.renew(project, queue)

    async def _remove(self, project: str, queue: str, subscription_id: str) -> bool:
        found = await self._book.find(project, queue, subscription_id)
        if found is None:
            return False
        place = Place(project, queue, found.subscriber)
        address = await self._index.find(place)
        lane = await self._lanes.find(project, queue, subscription_id)
        removed = await self._book.remove(project, queue, subscription_id)
        if lane is not None:
            await self._lanes.close(project, lane)
        await self._index.release(place, address, subscription_id)
        return removed

    async def _store(self, caller: Caller, queue: str, new: Subscription) -> Subscription:
        """Store the subscription, or return the one that its address has."""
        project = caller.identity.project
        for _ in range(_ATTEMPTS):
            # NOTE: read before we know that nobody has the address. So it is before all that
            # is posted after whoever else stores the same has answered.
            start = await self._lanes.at_the_end(project, queue)
            admitted = await self._index.admit(
                Place(project, queue, new.subscriber), new.id, expires_ms=new.expires_ms
            )
            if isinstance(admitted, Subscription):
                return admitted
            trust_id = await self._trust(caller, new)
            stored = new._replace(id=admitted, trust_id=trust_id)
            await self._lanes.open(project, queue, stored, start)
            if await self._book.add(project, queue, stored):
                return stored
        raise StorageUnavailable("the subscription changes faster than the request can follow")

    def _new(self, caller: Caller, wanted: Wanted) -> tuple[Subscription, str | None]:
        """Return the subscription that is wanted, and a secret if none was given."""
        if wanted.subscriber is None:
            raise InvalidRequest("Missing parameter subscriber in body.")
        self._check(wanted)
        shown, given = subscriptions.split(wanted.options or {})
        secret = None if given else webhook_signatures.new_secret()
        new = Subscription(
            id=secrets.token_hex(12),
            subscriber=wanted.subscriber,
            ttl_s=self._ttl_s(caller.identity, wanted.ttl_s),
            started_ms=self._clock.now_ms(),
            options=shown,
            state=State.NEW,
            secrets=given or (secret or "",),
            lineage=caller.identity.lineage,
        )
        self._check_end(caller.identity, new.expires_ms)
        return new, secret

    def _check(self, wanted: Wanted) -> None:
        if wanted.subscriber is not None:
            to = subscribers.parse(wanted.subscriber)
            if not self._destinations.allow_literal(to.host):
                raise InvalidRequest(f"subscriber: {to.host} is no public address.")
            if to.is_trusted and self._trusts is None:
                raise InvalidRequest(
                    f"subscriber: {to.scheme} needs the strategy keystone, which this service "
                    "does not use."
                )
        if wanted.ttl_s is not None:
            subscriptions.check_ttl(wanted.ttl_s, self._clock.now_ms())
        subscriptions.check_options(wanted.options or {})

    def _ttl_s(self, identity: Identity, wanted_s: int | None) -> int:
        """Return how long to live: as wanted, or the default within that of the credential."""
        if wanted_s is not None:
            return wanted_s
        default_s = self._limits.default_subscription_ttl_s
        if identity.grant is None:
            return default_s
        left_s = (identity.grant.expires_ms - self._clock.now_ms()) // 1000
        return min(default_s, left_s)

    def _check_end(self, identity: Identity, expires_ms: int) -> None:
        # SECURITY: nothing that was made with a credential outlives it.
        if identity.grant is not None and expires_ms > identity.grant.expires_ms:
            raise InvalidRequest("ttl: the subscription would outlive the credential.")

    async def _trust(self, caller: Caller, subscription: Subscription) -> str | None:
        if self._trusts is None or not subscribers.parse(subscription.subscriber).is_trusted:
            return None
        return await self._trusts.make(caller, expires_ms=subscription.expires_ms)


def _not_found(queue: str, subscription_id: str) -> SubscriptionNotFound:
    return SubscriptionNotFound(f"Queue {queue} has no subscription {subscription_id}.")
