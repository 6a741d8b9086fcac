"""Posting what is to be delivered, and waiting for what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from queues.deliveries import State
from queues.model import RecordKind
from queues.operations import Operations
from queues.operations.deliveries import Listed
from queues.operations.delivery_book import Source
from tests.clock import MovableClock
from tests.operations.calls import PROJECT, QUEUE, draft, patch, post
from tests.operations.receivers import Post
from tests.operations.subscribing import HOOK, records
from tests.transport.faults import FaultyStorage

SOURCE = Source(PROJECT, QUEUE)


async def say(operations: Operations, *bodies: int, delay_s: int | None = None) -> None:
    """Post messages, each for itself."""
    for body in bodies:
        await post(operations, draft(b"%d" % body, delay_s=delay_s))


async def deliveries(operations: Operations, subscription_id: str) -> list[Listed]:
    page = await operations.deliveries.list(
        SOURCE, subscription_id, state=None, marker="", limit=20
    )
    return list(page.deliveries)


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await check():  # noqa: ASYNC110 (the store tells nobody)
            await asyncio.sleep(0.005)


async def until_attempts(operations: Operations, made: str, number: int) -> None:
    """Wait until the first delivery of a subscription has had so many attempts."""

    async def check() -> bool:
        listed = await deliveries(operations, made)
        return bool(listed) and len(listed[0].delivery.attempts) >= number

    await until(check)


async def until_state(operations: Operations, made: str, *states: State) -> list[Listed]:
    """Wait until the deliveries of a subscription stand so, in the order of the queue."""

    async def check() -> bool:
        listed = await deliveries(operations, made)
        return [one.delivery.state for one in listed] == list(states)

    await until(check)
    return await deliveries(operations, made)


async def until_drained(operations: Operations, made: str) -> None:
    async def check() -> bool:
        page = await operations.deliveries.list(
            SOURCE, made, state=State.PENDING, marker="", limit=1
        )
        return not page.deliveries

    await until(check)


async def patch_retry_policy(operations: Operations, policy: dict[str, int]) -> None:
    await operations.queues.create(PROJECT, QUEUE, {})
    await patch(operations, "_retry_policy", policy)


async def until_nothing_is_due(operations: Operations) -> None:
    storage = operations._storage  # noqa: SLF001 (a look into the store)

    async def check() -> bool:
        now_ms = operations.agenda._clock.now_ms()  # noqa: SLF001
        kinds = (RecordKind.OUTBOX, RecordKind.LANE)
        found = [one for kind in kinds for one in await records(storage, kind, now_ms)]
        return all(one.due_ms is None for one in found)

    await until(check)


async def until_quiet(
    operations: Operations, storage: FaultyStorage, clock: MovableClock
) -> None:
    async def check() -> bool:
        (lane,) = await records(storage, RecordKind.LANE, clock.now_ms())
        return b'"quiet_until_ms": 0' not in lane.document

    await until(check)


async def until_all(post_office: Post, number: int) -> None:
    async def check() -> bool:
        return len(set(post_office.bodies(HOOK))) == number

    await until(check)


async def until_pending(operations: Operations, made: str) -> None:
    async def check() -> bool:
        page = await operations.deliveries.list(
            SOURCE, made, state=State.PENDING, marker="", limit=1
        )
        return any(len(one.delivery.attempts) == 4 for one in page.deliveries)

    await until(check)


async def until_waiting(operations: Operations) -> None:
    storage = operations._storage  # noqa: SLF001

    async def check() -> bool:
        now_ms = operations.agenda._clock.now_ms()  # noqa: SLF001
        (lane,) = await records(storage, RecordKind.LANE, now_ms)
        return b'"waits_until_ms": 0' not in lane.document

    await until(check)


async def until_nothing_new(operations: Operations) -> None:
    storage = operations._storage  # noqa: SLF001

    async def check() -> bool:
        now_ms = operations.agenda._clock.now_ms()  # noqa: SLF001
        outbox = await records(storage, RecordKind.OUTBOX, now_ms)
        (lane,) = await records(storage, RecordKind.LANE, now_ms)
        waits = b'"waits_until_ms": 0' not in lane.document
        return waits and all(one.due_ms is None for one in outbox)

    await until(check)
