"""Rules of queues: patches that meet, and listings with filters."""

from __future__ import annotations

import asyncio

import pytest

from queues.errors import MetadataConflict, QueueNotFound
from queues.operations import Operations
from queues.patch import Change
from tests.operations.calls import PROJECT, QUEUE, list_queues, patch
from tests.transport.faults import FaultyStorage


async def test_two_patches_that_meet_are_both_applied(
    operations: Operations, elsewhere: Operations, storage: FaultyStorage
) -> None:
    await operations.queues.create(PROJECT, QUEUE, {})

    async def patch_first(name: str) -> None:
        if name == "queues.update":
            storage.recover()
            await patch(elsewhere, "theirs", 1)

    storage.before = patch_first
    await patch(operations, "mine", 2)
    shown = await operations.queues.describe(PROJECT, QUEUE)
    assert (shown["theirs"], shown["mine"]) == (1, 2)


async def test_many_patches_at_once_are_all_applied(
    operations: Operations, elsewhere: Operations
) -> None:
    await operations.queues.create(PROJECT, QUEUE, {})
    both = (operations, elsewhere)
    await asyncio.gather(*(patch(both[n % 2], f"key{n}", n) for n in range(50)))
    shown = await operations.queues.describe(PROJECT, QUEUE)
    assert [shown.get(f"key{n}") for n in range(50)] == list(range(50))


async def test_a_patch_that_meets_another_is_checked_again(
    operations: Operations, elsewhere: Operations, storage: FaultyStorage
) -> None:
    await operations.queues.create(PROJECT, QUEUE, {"a": 1})

    async def remove_first(name: str) -> None:
        if name == "queues.update":
            storage.recover()
            await elsewhere.queues.update(PROJECT, QUEUE, [Change("remove", "a", None)])

    storage.before = remove_first
    with pytest.raises(MetadataConflict):
        await operations.queues.update(PROJECT, QUEUE, [Change("replace", "a", 2)])
    assert "a" not in await operations.queues.describe(PROJECT, QUEUE)


async def test_a_patch_that_meets_a_delete_finds_no_queue(
    operations: Operations, elsewhere: Operations, storage: FaultyStorage
) -> None:
    await operations.queues.create(PROJECT, QUEUE, {})

    async def delete_first(name: str) -> None:
        if name == "queues.update":
            storage.recover()
            await elsewhere.queues.delete(PROJECT, QUEUE)

    storage.before = delete_first
    with pytest.raises(QueueNotFound):
        await patch(operations, "a", 1)
    assert not await elsewhere.queues.exists(PROJECT, QUEUE)


async def test_of_many_that_create_a_queue_one_does(
    operations: Operations, elsewhere: Operations
) -> None:
    both = (operations, elsewhere)
    created = await asyncio.gather(
        *(both[n % 2].queues.create(PROJECT, QUEUE, {"by": n}) for n in range(10))
    )
    assert created.count(True) == 1
    assert (await operations.queues.describe(PROJECT, QUEUE))["by"] == created.index(True)


async def test_a_filtered_listing_reads_a_bounded_number_of_queues_at_a_time(
    operations: Operations, storage: FaultyStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queues.operations.queues._READ_PER_LISTING", 100)
    names = [f"q{n:03}" for n in range(250)]
    await asyncio.gather(*(operations.queues.create(PROJECT, name, {}) for name in names))
    await operations.queues.create(PROJECT, "wanted", {"a": 1})
    reads = 0

    async def count(name: str) -> None:
        nonlocal reads
        reads += name == "queues.list"

    storage.before = count
    marker, pages = "", []
    while True:
        reads = 0
        page = await list_queues(operations, marker, filters={"a": "1"})
        assert reads <= 2
        pages.append([queue.name for queue in page.queues])
        if page.marker is None:
            break
        assert page.marker > marker
        marker = page.marker
    assert pages == [[], [], ["wanted"], []]


async def test_a_full_page_of_matches_goes_on_after_the_last(operations: Operations) -> None:
    for n in range(12):
        await operations.queues.create(PROJECT, f"q{n:02}", {"even": n % 2 == 0, "n": n % 3})
    first = await list_queues(operations, filters={"n": "0"}, limit=3)
    assert ([q.name for q in first.queues], first.marker) == (["q00", "q03", "q06"], "q06")
    second = await list_queues(operations, "q06", filters={"n": "0"}, limit=3)
    assert ([q.name for q in second.queues], second.marker) == (["q09"], "q09")
    third = await list_queues(operations, "q09", filters={"n": "0"}, limit=3)
    assert (third.queues, third.marker) == ([], None)
