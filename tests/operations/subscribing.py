"""Short forms of operations on subscriptions, for one project and one queue."""

from __future__ import annotations

from typing import Any

from queues.identity import Identity
from queues.model import Record, RecordKind
from queues.operations import Operations
from queues.operations.subscriptions import Caller
from queues.storage import Storage
from queues.subscriptions import Subscription, Wanted
from tests.operations.calls import PROJECT, QUEUE

CALLER = Caller(Identity(PROJECT))
HOOK = "http://receiver.example/hook"
OTHER = "http://receiver.example/other"

#: More than there is of anything here.
_ALL = 1000


async def subscribe(
    operations: Operations, subscriber: str = HOOK, *, ttl_s: int = 3600, **options: Any
) -> str:
    made = await operations.subscriptions.create(
        CALLER, QUEUE, Wanted(subscriber, ttl_s, options)
    )
    return made.id


async def move(operations: Operations, subscription_id: str, subscriber: str) -> None:
    wanted = Wanted(subscriber, None, None)
    await operations.subscriptions.update(CALLER, QUEUE, subscription_id, wanted)


async def subscriptions(operations: Operations) -> list[Subscription]:
    view = await operations.subscriptions.list(PROJECT, QUEUE, marker="", limit=20)
    return list(view.subscriptions)


async def records(storage: Storage, kind: RecordKind, now_ms: int) -> list[Record]:
    """Return all records of a kind that belong to the queue."""
    return list(
        await storage.records.list(
            PROJECT, kind, QUEUE, prefix="", marker="", limit=_ALL, now_ms=now_ms
        )
    )
