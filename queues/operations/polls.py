"""Claims, lists and pops that wait for messages (long poll)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile
from typing import NamedTuple, TypeVar

from queues import ids
from queues.clock import Clock
from queues.errors import MessageSealed
from queues.limits import Limits, check_count
from queues.metadata import QueuePolicy
from queues.model import Claim, Media, Message, Topic, TopicKind
from queues.operations.claims import ClaimOperations, ClaimView, Wanted
from queues.operations.messages import MessageOperations, MessageQuery, Snapshot
from queues.operations.policies import Policies
from queues.operations.waiting import Taking, WaitingRoom
from queues.storage import Storage

T = TypeVar("T")

#: So many times a claim goes past dead letters before it waits.
_PASSES = 100

_ANY_READY = MessageQuery("", 1, echo=True, include_claimed=False, include_delayed=False)

#: What a pop found belongs to it for so long; it is removed within milliseconds.
_POP_LEASE_MS = 30_000


async def _yes() -> bool:
    return True


class Patience(NamedTuple):
    """How long a client wants to wait, and a way to see that it may still have something.

    It may have gone away meanwhile, or may not be allowed any more.
    """

    wait_s: float
    may_take: Callable[[], Awaitable[bool]] = _yes


#: Of somebody who wants an answer now.
AT_ONCE = Patience(0)


class LongPolls:
    """Claim, list and pop; who finds nothing waits.

    Whoever goes away while waiting takes nothing with it: cancel the call. What had been
    taken at that moment is given back, in the background.
    """

    def __init__(
        self,
        storage: Storage,
        limits: Limits,
        clock: Clock,
        policies: Policies,
        claims: ClaimOperations,
        messages: MessageOperations,
        room: WaitingRoom,
    ) -> None:
        """Do what `claims` and `messages` do, and wait in `room`."""
        self._storage = storage
        self._limits = limits
        self._clock = clock
        self._policies = policies
        self._claims = claims
        self._messages = messages
        self._room = room

    async def claim(
        self, project: str, queue: str, wanted: Wanted, patience: Patience
    ) -> ClaimView | None:
        """Claim like `ClaimOperations.create`; None when there was nothing all the time.

        An attempt that found nothing is not remembered with the key. A claim with a key is
        left to whoever repeats the request, also when the client was gone when it was made.
        """

        async def attempt() -> ClaimView | None:
            view = await self._claims.create(project, queue, wanted)
            for _ in range(_PASSES):
                if view is not None or not await self._has_left(project, queue, wanted):
                    break
                view = await self._claims.create(project, queue, wanted)
            return view

        async def undo(view: ClaimView) -> None:
            if wanted.idempotency_key is None:
                await self._claims.release(project, queue, view.claim.id)

        def leaves_more(view: ClaimView | None) -> bool:
            # A key may have been used for a claim that holds nothing any more.
            return wanted.idempotency_key is not None if view is None else view.is_full

        taking = Taking(undo, leaves_more)
        return await self._take(_topic(project, queue), attempt, patience, taking)

    async def _has_left(self, project: str, queue: str, wanted: Wanted) -> bool:
        """Say whether a claim that found nothing may have left something.

        One that has moved as many dead letters as it may in one go stops looking.
        """

        async def current(policy: QueuePolicy) -> QueuePolicy:
            return policy

        policy = await self._policies.apply(project, queue, current)
        if policy.dead_letter_queue is None or wanted.idempotency_key is not None:
            return False
        page = await self._messages.list(project, queue, _ANY_READY, client_id="")
        return bool(page.messages)

    async def list(
        self,
        project: str,
        queue: str,
        query: MessageQuery,
        patience: Patience,
        *,
        client_id: str,
    ) -> Snapshot:
        """List like `MessageOperations.list`; empty when there was nothing all the time."""

        async def attempt() -> Snapshot | None:
            page = await self._messages.list(project, queue, query, client_id=client_id)
            return page if page.messages or page.next_seq is not None else None

        topic = _topic(project, queue)
        page = await self._room.wait(topic, attempt, wait_s=patience.wait_s)
        return page or self._nothing(project, queue)

    async def pop(self, project: str, queue: str, limit: int, patience: Patience) -> Snapshot:
        """Pop like `MessageOperations.pop`; empty when there was nothing all the time.

        Messages are leased, and removed only if the client is there to take them. What had
        to be given back has a `claim_count` one higher.
        """
        check_count("pop", limit, self._limits.max_messages_per_claim_or_pop)

        async def undo(claim: Claim) -> None:
            await self._claims.release(project, queue, claim.id)

        def leaves_more(claim: Claim | None) -> bool:
            return claim is not None and len(claim.messages) == limit

        claim = await self._take(
            _topic(project, queue),
            lambda: self._lease(project, queue, limit),
            patience,
            Taking(undo, leaves_more),
        )
        if claim is None:
            return self._nothing(project, queue)
        popped = await self._remove(project, queue, claim)
        return Snapshot(popped, ids.queue_tag(project, queue), claim.leased_ms)

    async def _take(
        self,
        topic: Topic,
        attempt: Callable[[], Awaitable[T | None]],
        patience: Patience,
        taking: Taking[T],
    ) -> T | None:
        found = await self._room.wait(topic, attempt, wait_s=patience.wait_s, taking=taking)
        if found is None:
            return None
        may_take = False
        try:
            may_take = await patience.may_take()
        finally:
            if not may_take:
                self._room.give_back(found, taking)
        return found if may_take else None

    async def _lease(self, project: str, queue: str, limit: int) -> Claim | None:
        now_ms = self._clock.now_ms()
        claim_id = ids.new_claim_id(now_ms)

        async def step(policy: QueuePolicy) -> Claim | None:
            if policy.version is None:
                return None
            claim = await self._storage.claims.claim(
                project,
                queue,
                claim_id=claim_id,
                limit=limit,
                lease_ms=_POP_LEASE_MS,
                grace_ms=0,
                dead_letter=None,
                queue_version=policy.version,
                idempotency=None,
                now_ms=now_ms,
            )
            if claim is not None and claim.messages[0].media is Media.SEALED:
                await self._claims.release(project, queue, claim_id)
                raise MessageSealed(f"queue {queue}")
            return claim

        return await self._policies.apply(project, queue, step)

    async def _remove(self, project: str, queue: str, claim: Claim) -> Sequence[Message]:
        """Remove messages up to the first that nobody here can read, and give back the rest."""
        readable = list(takewhile(lambda each: each.media is not Media.SEALED, claim.messages))
        refused = await self._storage.messages.delete(
            project,
            queue,
            [message.seq for message in readable],
            claim_ids=(claim.id,),
            now_ms=self._clock.now_ms(),
        )
        if len(readable) < len(claim.messages):
            await self._claims.release(project, queue, claim.id)
        return [_unclaimed(message) for message in readable if message.seq not in refused]

    def _nothing(self, project: str, queue: str) -> Snapshot:
        return Snapshot((), ids.queue_tag(project, queue), self._clock.now_ms())


def _topic(project: str, queue: str) -> Topic:
    return Topic(project, TopicKind.QUEUE, queue)


def _unclaimed(message: Message) -> Message:
    """Return a leased message as it stood before the lease."""
    return message._replace(claim_id=None, claim_count=message.claim_count - 1, visible_ms=0)
