"""A store under the contract, called as a busy server calls it: many calls at once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import uvloop

from queues.clock import SystemClock
from queues.model import Claim, Media, Message, MessagePage, NewMessage, Refusal
from queues.storage import Storage

#: Calls under way at the same time: as many as a server with so many busy connections makes.
AT_ONCE = 32

_QUEUE = ("bench", "queue")
_VERSION = 1
_CLIENT = "3381af92-2b9e-11e3-b191-71861300734c"
_BODY = b'{"event": "' + b"x" * 88 + b'"}'


def new_messages(count: int) -> Sequence[NewMessage]:
    """Return messages of 100 bytes."""
    return [NewMessage(_BODY, Media.JSON, 3600, 0, _CLIENT)] * count


class Driven:
    """One queue in a store that is open."""

    def __init__(self, store: Storage, loop: uvloop.Loop) -> None:
        """Create the queue."""
        self._store = store
        self._loop = loop
        self._ids = itertools.count()
        self._clock = SystemClock()
        create = store.queues.create(
            *_QUEUE, metadata=b"{}", version=_VERSION, now_ms=self._clock.now_ms()
        )
        self._wait(create)

    def _wait(self, call: Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(call)

    def once(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make one call and return its answer."""
        return self._wait(call())

    def at_once(
        self, call: Callable[[], Awaitable[Any]], times: int = AT_ONCE
    ) -> Sequence[Any]:
        """Make so many calls at the same time and return their answers."""

        async def calls() -> Sequence[Any]:
            return await asyncio.gather(*(call() for _ in range(times)))

        answers: Sequence[Any] = self._wait(calls())
        return answers

    def fill(self, count: int) -> list[int]:
        """Post so many messages and return their sequences."""
        return list(self._wait(self.post(count)))

    async def post(self, count: int) -> Sequence[int]:
        """Post `count` messages."""
        return await self._store.messages.post(
            *_QUEUE,
            new_messages(count),
            queue_version=_VERSION,
            idempotency=None,
            now_ms=self._clock.now_ms(),
        )

    async def claim(self, limit: int) -> Claim | None:
        """Claim up to `limit` messages."""
        return await self._store.claims.claim(
            *_QUEUE,
            claim_id=f"{next(self._ids):024x}",
            limit=limit,
            lease_ms=300_000,
            grace_ms=60_000,
            dead_letter=None,
            queue_version=_VERSION,
            idempotency=None,
            now_ms=self._clock.now_ms(),
        )

    async def list(self, limit: int) -> MessagePage:
        """List the first `limit` messages."""
        return await self._store.messages.list(
            *_QUEUE,
            after_seq=0,
            limit=limit,
            include_claimed=False,
            include_delayed=False,
            exclude_client_id=None,
            now_ms=self._clock.now_ms(),
        )

    async def get(self, seq: int) -> Sequence[Message]:
        """Return one message."""
        return await self._store.messages.get(*_QUEUE, [seq], now_ms=self._clock.now_ms())

    async def delete(self, seq: int) -> dict[int, Refusal]:
        """Delete one message."""
        refused = await self._store.messages.delete(
            *_QUEUE, [seq], claim_ids=(), now_ms=self._clock.now_ms()
        )
        return dict(refused)
