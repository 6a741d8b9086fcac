"""Those who wait for the messages of one queue, over the reference and in no time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from queues.model import Claim, Message, Topic, TopicKind
from queues.operations.waiting import Taking, WaitingRoom
from tests.conformance.reference import ReferenceStorage
from tests.conformance.world import World
from tests.factories import new_message
from tests.operations.hurry import LoopClock
from tests.transport.faults import FaultyStorage

TOPIC = Topic("p", TopicKind.QUEUE, "q")
LEASE_S = 60
MINUTE_S = 60.0


class Bench:
    """A queue in memory, and those who wait for its messages in one process."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.clock = LoopClock()
        self.storage = FaultyStorage(ReferenceStorage(self.world))
        self.room = WaitingRoom(self.storage, self.clock)
        self.calls: Counter[str] = Counter()
        self.took: list[str] = []
        self.looks = 0
        self.misses = 0
        self.gate: Callable[[], Awaitable[object]] | None = None
        self.storage.before = self._count

    async def _count(self, name: str) -> None:
        self.calls[name] += 1

    async def post(self, *bodies: str, delay_s: float = 0) -> None:
        created = await self.storage.queues.create(
            "p", "q", metadata=b"{}", version=1, now_ms=self.clock.now_ms()
        )
        await self.storage.messages.post(
            "p",
            "q",
            [new_message(body, delay_s=delay_s) for body in bodies],
            queue_version=created[0].version,
            idempotency=None,
            now_ms=self.clock.now_ms(),
        )

    async def watch(self) -> None:
        """Let the room know the topic already, so that whoever comes looks only once."""
        await self.reader(wait_s=0.001)

    async def release(self, claim: Claim) -> None:
        now_ms = self.clock.now_ms()
        await self.storage.claims.release("p", "q", claim.id, now_ms=now_ms)

    def taker(
        self, name: str, *, limit: int = 1, wait_s: float = MINUTE_S, blind: bool = False
    ) -> asyncio.Task[Claim | None]:
        """Begin to wait for messages to claim; who is `blind` never finds any."""

        async def attempt() -> Claim | None:
            claim = None
            self.looks += 1
            if self.misses:
                self.misses -= 1
            elif not blind and await self.storage.queues.get("p", "q"):
                claim = await self.claim(name, limit)
            if self.gate is not None:
                await self.gate()
            return claim

        def leaves_more(claim: Claim | None) -> bool:
            return blind if claim is None else len(claim.messages) == limit

        async def wait() -> Claim | None:
            taking = Taking(self.release, leaves_more)
            claim = await self.room.wait(TOPIC, attempt, wait_s=wait_s, taking=taking)
            if claim is not None:
                self.took.append(name)
            return claim

        return asyncio.create_task(wait())

    async def claim(self, name: str, limit: int) -> Claim | None:
        return await self.storage.claims.claim(
            "p",
            "q",
            claim_id=name,
            limit=limit,
            lease_ms=LEASE_S * 1000,
            grace_ms=0,
            dead_letter=None,
            queue_version=1,
            idempotency=None,
            now_ms=self.clock.now_ms(),
        )

    def reader(self, *, wait_s: float = MINUTE_S) -> asyncio.Task[list[Message] | None]:
        """Begin to wait for ready messages, without taking them away."""

        async def attempt() -> list[Message] | None:
            page = await self.storage.messages.list(
                "p",
                "q",
                after_seq=0,
                limit=10,
                include_claimed=False,
                include_delayed=False,
                exclude_client_id=None,
                now_ms=self.clock.now_ms(),
            )
            return list(page.messages) or None

        return asyncio.create_task(self.room.wait(TOPIC, attempt, wait_s=wait_s))


def now_s() -> float:
    return asyncio.get_running_loop().time()
