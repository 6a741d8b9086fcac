"""Depth of records: what waits, sleeps, is held or has expired makes no call dearer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.conformance.harness import Harness
from tests.conformance.records import RecordsHandle, keys_of
from tests.conformance.stopwatch import fastest_ms

pytestmark = pytest.mark.slow

SHALLOW = 50
BATCH = 50
#: How many are taken by one measured call, and how often it is measured.
LIMIT, TIMES = 5, 8

Fill = Callable[[RecordsHandle, range], Awaitable[None]]


async def add_many(records: RecordsHandle, numbers: range, **fields: int | None) -> None:
    for first in numbers[::BATCH]:
        batch = range(first, min(first + BATCH, numbers.stop))
        await asyncio.gather(*(records.add(f"{n:06}", **fields) for n in batch))


async def wait(records: RecordsHandle, numbers: range) -> None:
    await add_many(records, numbers, due_ms=records.now_ms + 9_000_000)


async def wait_in_many_scopes(records: RecordsHandle, numbers: range) -> None:
    for first in numbers[::BATCH]:
        batch = range(first, first + BATCH)
        await asyncio.gather(
            *(
                records.on(scope=f"scope-{n}").add(due_ms=records.now_ms + 9_000_000)
                for n in batch
            )
        )


async def sleep(records: RecordsHandle, numbers: range) -> None:
    await add_many(records, numbers)


async def be_held(records: RecordsHandle, numbers: range) -> None:
    await add_many(records, numbers, due_ms=records.now_ms)
    assert len(await records.take_all(lease_s=9_000)) == len(numbers)


async def have_expired(records: RecordsHandle, numbers: range) -> None:
    await add_many(records, numbers, due_ms=records.now_ms, expires_ms=records.now_ms + 5000)
    records.clock.advance(s=5)


FILLS = [wait, wait_in_many_scopes, sleep, be_held, have_expired]


async def costs(records: RecordsHandle, name: str) -> dict[str, float]:
    """Measure a page, a look, a change, a creation, and taking what is due."""
    due = records.on(scope=f"due-{name}")
    await add_many(due, range(LIMIT * TIMES), due_ms=due.now_ms - 1000)
    # NOTE: the first calls may pay for noticing what has expired.
    await records.take(LIMIT)
    taken_ms = await fastest_ms(lambda: due.take(LIMIT), times=TIMES - 1)
    made = await records.add(f"made-{name}")
    numbers = iter(range(1000))
    return {
        "take": taken_ms,
        "page": await fastest_ms(lambda: records.page(marker="000002", limit=5)),
        "get": await fastest_ms(lambda: records.get(made.key)),
        "create": await fastest_ms(lambda: records.add(f"new-{name}-{next(numbers)}")),
        "replace": await fastest_ms(lambda: records.replace(made)),
    }


@pytest.mark.parametrize("fill", FILLS)
async def test_no_call_on_records_grows_dearer_with_depth(
    records: RecordsHandle, harness: Harness, fill: Fill
) -> None:
    await fill(records, range(SHALLOW))
    shallow = await costs(records, "shallow")
    await fill(records, range(SHALLOW, harness.backend.depth))
    deep = await costs(records, "deep")
    dearer = {call for call in deep if deep[call] > 5 * shallow[call] + 3}
    assert not dearer, f"{shallow} -> {deep}"


@pytest.mark.parametrize("fill", FILLS)
async def test_what_is_due_is_taken_behind_what_is_not(
    records: RecordsHandle, harness: Harness, fill: Fill
) -> None:
    await fill(records, range(harness.backend.depth))
    await records.on(scope="due").add("due", due_ms=records.now_ms)
    assert keys_of(await records.take_all()) == ["due"]
