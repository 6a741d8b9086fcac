"""The policy of a queue: remembered by every process, and never out of date in any."""

from __future__ import annotations

import pytest

from queues import ids
from queues.errors import InvalidRequest, QueueChanged, StorageUnavailable
from queues.operations import Operations
from queues.operations.claims import Wanted
from tests.operations.calls import PROJECT, QUEUE, claim, draft, everything, patch, post
from tests.transport.faults import FaultyStorage


async def test_a_patch_elsewhere_counts_from_the_next_post_here(
    operations: Operations, elsewhere: Operations
) -> None:
    for ttl_s in (3600, 100, 200):
        if ttl_s != 3600:
            await patch(elsewhere, "_default_message_ttl", ttl_s)
        await post(operations)
        await post(elsewhere)
    ttls = [message.ttl_s for message in (await everything(operations)).messages]
    assert ttls == [3600, 3600, 100, 100, 200, 200]


async def test_a_smaller_size_elsewhere_is_kept_here_at_once(
    operations: Operations, elsewhere: Operations
) -> None:
    await post(operations, size_bytes=100)
    await patch(elsewhere, "_max_messages_post_size", 99)
    with pytest.raises(InvalidRequest, match="99 bytes"):
        await post(operations, size_bytes=100)
    await post(operations, size_bytes=99)


async def test_a_larger_size_elsewhere_is_kept_here_at_once(
    operations: Operations, elsewhere: Operations
) -> None:
    await operations.queues.create(PROJECT, QUEUE, {"_max_messages_post_size": 10})
    await post(operations, size_bytes=10)
    await patch(elsewhere, "_max_messages_post_size", 100)
    await post(operations, size_bytes=100)
    with pytest.raises(InvalidRequest, match="100 bytes"):
        await post(operations, size_bytes=101)


async def test_what_a_queue_refused_is_taken_once_it_is_gone_elsewhere(
    operations: Operations, elsewhere: Operations
) -> None:
    await operations.queues.create(PROJECT, QUEUE, {"_max_messages_post_size": 10})
    await post(operations, size_bytes=10)
    await elsewhere.queues.delete(PROJECT, QUEUE)
    await post(operations, size_bytes=100)
    await elsewhere.queues.delete(PROJECT, QUEUE)
    with pytest.raises(InvalidRequest):
        await post(operations, size_bytes=1_000_000)


async def test_a_dead_letter_policy_elsewhere_counts_from_the_next_claim_here(
    operations: Operations, elsewhere: Operations
) -> None:
    await post(operations)
    taken = await claim(operations)
    assert taken is not None
    await operations.claims.release(PROJECT, QUEUE, taken.claim.id)
    await patch(elsewhere, "_max_claim_count", 1)
    await patch(elsewhere, "_dead_letter_queue", "dead")
    assert await claim(operations) is None
    stats = await operations.queues.stats(PROJECT, "dead")
    assert stats.stats.total == 1


async def test_a_queue_deleted_elsewhere_is_created_again_without_its_metadata(
    operations: Operations, elsewhere: Operations
) -> None:
    await operations.queues.create(PROJECT, QUEUE, {"_default_message_ttl": 100})
    await post(operations)
    await elsewhere.queues.delete(PROJECT, QUEUE)
    assert await claim(operations) is None
    assert not await elsewhere.queues.exists(PROJECT, QUEUE)
    await post(operations)
    assert [message.ttl_s for message in (await everything(elsewhere)).messages] == [3600]


async def test_a_queue_created_anew_elsewhere_has_its_new_policy_here(
    operations: Operations, elsewhere: Operations
) -> None:
    await operations.queues.create(PROJECT, QUEUE, {"_default_message_ttl": 100})
    await post(operations)
    await elsewhere.queues.delete(PROJECT, QUEUE)
    await elsewhere.queues.create(PROJECT, QUEUE, {"_default_message_ttl": 200})
    await post(operations)
    assert [message.ttl_s for message in (await everything(operations)).messages] == [200]


async def test_the_policy_costs_no_round_trip_once_it_is_known(
    operations: Operations, storage: FaultyStorage
) -> None:
    await post(operations)
    calls = []

    async def note(name: str) -> None:
        calls.append(name)

    storage.before = note
    await post(operations)
    await claim(operations)
    assert calls == ["messages.post", "claims.claim"]


async def test_a_queue_that_changes_all_the_time_ends_in_a_503_and_not_in_a_loop(
    operations: Operations, storage: FaultyStorage
) -> None:
    calls = 0

    async def changed(name: str) -> None:
        nonlocal calls
        calls += 1
        if name == "messages.post":
            raise QueueChanged

    storage.before = changed
    with pytest.raises(StorageUnavailable):
        await post(operations)
    assert calls < 500


async def test_a_post_outlasts_a_burst_of_patches(
    operations: Operations, elsewhere: Operations, storage: FaultyStorage
) -> None:
    await operations.queues.create(PROJECT, QUEUE, {})
    patches = iter(range(50))

    async def patch_first(name: str) -> None:
        if name == "messages.post" and (number := next(patches, None)) is not None:
            await patch(elsewhere, f"key{number}", number)

    storage.before = patch_first
    await post(operations)
    assert len((await everything(operations)).messages) == 1


async def test_a_post_that_loses_the_race_to_create_takes_the_winners_policy(
    operations: Operations, elsewhere: Operations, storage: FaultyStorage
) -> None:
    async def create_first(name: str) -> None:
        if name == "queues.create":
            storage.recover()
            await elsewhere.queues.create(PROJECT, QUEUE, {"_default_message_ttl": 77})

    storage.before = create_first
    await post(operations)
    assert [message.ttl_s for message in (await everything(operations)).messages] == [77]


async def test_a_bad_post_to_an_absent_queue_does_not_create_it(
    operations: Operations,
) -> None:
    with pytest.raises(InvalidRequest):
        await post(operations, draft(ttl_s=1))
    assert not await operations.queues.exists(PROJECT, QUEUE)


async def test_a_policy_that_was_forgotten_is_read_again(
    operations: Operations, storage: FaultyStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queues.operations.policies._REMEMBERED", 3)
    for index in range(4):
        await operations.queues.create(PROJECT, f"q{index}", {})
    calls = []

    async def note(name: str) -> None:
        calls.append(name)

    storage.before = note
    for queue in ("q3", "q0", "q0"):
        await operations.claims.create(PROJECT, queue, Wanted(None, None, 1, None))
    assert calls == [
        "claims.claim",
        *("queues.get", "records.list", "claims.claim"),
        "claims.claim",
    ]


async def test_a_queue_that_is_no_longer_encrypted_is_served_without_keys_again(
    operations: Operations, storage: FaultyStorage
) -> None:
    async def set_metadata(metadata: bytes) -> None:
        found = await storage.queues.get(PROJECT, QUEUE)
        assert found is not None
        known, new = found.version, ids.new_version()
        await storage.queues.update(
            PROJECT, QUEUE, metadata=metadata, expected_version=known, version=new
        )

    await post(operations)
    await set_metadata(b'{"_enable_encrypt_messages": true}')
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="keys_file"):
            await post(operations)
    await set_metadata(b"{}")
    await post(operations)
