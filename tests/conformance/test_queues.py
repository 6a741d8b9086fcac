"""Queues: creation, metadata under a version, listing, deletion and purge."""

from __future__ import annotations

import json

import pytest

from queues.errors import QueueChanged, QueueNotFound
from queues.model import Queue, Stats
from queues.storage import Storage
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle
from tests.factories import new_message, new_messages


@pytest.fixture
def jobs(storage: Storage, clock: MovableClock) -> QueueHandle:
    """A queue that does not exist yet."""
    return QueueHandle(storage, clock, "alpha", "jobs")


async def names(handle: QueueHandle, *, marker: str = "", limit: int = 100) -> list[str]:
    queues = await handle.storage.queues.list(handle.project, marker=marker, limit=limit)
    return [queue.name for queue in queues]


async def test_create_returns_the_queue_as_stored(jobs: QueueHandle) -> None:
    stored = Queue("jobs", b'{"a": [1, null]}', 1, jobs.now_ms)
    assert await jobs.create(b'{"a": [1, null]}') == (stored, True)
    assert await jobs.describe() == stored


async def test_create_again_changes_nothing(jobs: QueueHandle) -> None:
    first, _ = await jobs.create(b'{"a":1}')
    (seq,) = await jobs.post()
    jobs.clock.advance(s=1)
    assert await jobs.on(version=2).create(b'{"b":2}') == (first, False)
    assert await jobs.describe() == first
    assert await jobs.listed() == [seq]


async def test_metadata_is_kept_byte_for_byte(jobs: QueueHandle) -> None:
    metadata = json.dumps({"é\0\U0001f600": [1.0, {"x": " "}]}, ensure_ascii=False).encode()
    await jobs.create(metadata)
    described = await jobs.describe()
    assert described is not None
    assert described.metadata == metadata


async def test_versions_may_use_52_bits(jobs: QueueHandle) -> None:
    version = 2**52 - 1
    queue, _ = await jobs.on(version=version).create()
    assert queue.version == version
    assert await jobs.on(version=version).post()
    with pytest.raises(QueueChanged):
        await jobs.on(version=version - 1).post()


async def test_get_of_an_absent_queue_is_none(jobs: QueueHandle) -> None:
    assert await jobs.describe() is None


async def test_update_replaces_metadata_and_version_and_nothing_else(jobs: QueueHandle) -> None:
    created, _ = await jobs.create(b'{"a":1}')
    (seq,) = await jobs.post()
    jobs.clock.advance(s=5)
    updated = await jobs.update(b'{"b":2}', expected_version=1, version=2)
    assert updated == Queue("jobs", b'{"b":2}', 2, created.created_ms)
    assert await jobs.describe() == updated
    assert await jobs.listed() == [seq]


async def test_update_from_another_version_is_refused_and_changes_nothing(
    jobs: QueueHandle,
) -> None:
    created, _ = await jobs.create(b'{"a":1}')
    with pytest.raises(QueueChanged):
        await jobs.update(b'{"b":2}', expected_version=9, version=2)
    assert await jobs.describe() == created


async def test_update_of_an_absent_queue_is_refused(jobs: QueueHandle) -> None:
    with pytest.raises(QueueNotFound):
        await jobs.update(b"{}", expected_version=1, version=2)
    assert await jobs.describe() is None


async def test_post_and_claim_under_an_old_version_are_refused_before_anything_is_written(
    jobs: QueueHandle,
) -> None:
    await jobs.create()
    (seq,) = await jobs.post()
    await jobs.update(b"{}", expected_version=1, version=2)
    with pytest.raises(QueueChanged):
        await jobs.post()
    with pytest.raises(QueueChanged):
        await jobs.claim()
    assert await jobs.listed() == [seq]
    assert await jobs.counts() == (0, 1)


async def test_post_and_claim_in_an_absent_queue_are_refused(jobs: QueueHandle) -> None:
    with pytest.raises(QueueChanged):
        await jobs.post()
    with pytest.raises(QueueChanged):
        await jobs.claim()
    assert await jobs.describe() is None


async def test_an_absent_queue_is_empty_to_every_other_call(jobs: QueueHandle) -> None:
    page = await jobs.page()
    assert (list(page.messages), page.next_seq) == ([], None)
    assert await jobs.get(1, 2) == []
    assert await jobs.delete(1, 2) == {}
    assert await jobs.delete(1, claim_ids=["c"]) == {}
    assert await jobs.pop(5) == []
    assert await jobs.get_claim("c") is None
    assert await jobs.stats() == Stats(0, 0, None, None)
    await jobs.release("c")
    await jobs.purge()
    await jobs.drop()
    assert await jobs.describe() is None
    assert await names(jobs) == []


async def test_list_is_by_code_point_and_pages_by_name(jobs: QueueHandle) -> None:
    ordered = ["-", "A", "B", "_", "a", "a-1", "a_1", "aa", "b", "é", "中", "\U0001f600"]
    for name in reversed(ordered):
        await jobs.on(queue=name).create()
    assert await names(jobs) == ordered
    assert await names(jobs, limit=3) == ordered[:3]
    assert await names(jobs, limit=3, marker="B") == ordered[3:6]
    assert await names(jobs, marker="中") == ["\U0001f600"]
    assert await names(jobs, marker="\U0001f600") == []


async def test_the_marker_of_a_list_need_not_exist(jobs: QueueHandle) -> None:
    for name in ("a", "c"):
        await jobs.on(queue=name).create()
    assert await names(jobs, marker="b") == ["c"]
    assert await names(jobs, marker="bbb") == ["c"]
    assert await names(jobs, marker="d") == []


async def test_list_gives_whole_queues(jobs: QueueHandle) -> None:
    created, _ = await jobs.create(b'{"a":1}')
    assert list(await jobs.storage.queues.list("alpha", marker="", limit=1)) == [created]


async def test_paging_through_many_queues_finds_each_once(jobs: QueueHandle) -> None:
    expected = [f"q-{n:03}" for n in range(45)]
    for name in expected:
        await jobs.on(queue=name).create()
    found: list[str] = []
    while page := await names(jobs, marker=found[-1] if found else "", limit=10):
        found += page
    assert found == expected


async def test_count_follows_creation_and_deletion(jobs: QueueHandle) -> None:
    count = jobs.storage.queues.count
    assert await count("alpha") == 0
    await jobs.create()
    await jobs.create()
    await jobs.on(queue="other").create()
    assert await count("alpha") == 2
    await jobs.drop()
    await jobs.drop()
    assert await count("alpha") == 1


async def test_delete_takes_messages_claims_and_metadata_along(jobs: QueueHandle) -> None:
    await jobs.create(b'{"a":1}')
    seqs = await jobs.post(*new_messages(3), new_message(delay_s=60))
    claim = await jobs.claim_some(2)
    await jobs.drop()
    assert await jobs.describe() is None
    assert await jobs.get(*seqs) == []
    assert await jobs.everything() == []
    assert await jobs.get_claim(claim.id) is None
    assert await jobs.counts() == (0, 0)


async def test_nothing_of_the_former_life_shows_in_a_queue_created_again(
    jobs: QueueHandle,
) -> None:
    await jobs.create(b'{"a":1}')
    seqs = await jobs.post(*new_messages(3), new_message(delay_s=1))
    claim = await jobs.claim_some(2, lease_s=1)
    await jobs.drop()
    _, created = await jobs.on(version=2).create()
    again = jobs.on(version=2)
    assert created
    jobs.clock.advance(s=2)
    assert await again.get(*seqs) == []
    assert await again.everything() == []
    assert await again.claim() is None
    assert await again.pop(10) == []
    assert await again.get_claim(claim.id) is None
    assert await again.counts() == (0, 0)
    await again.sweep_all()
    assert await again.everything() == []


@pytest.mark.parametrize("pause_ms", [0, 1, 999, 1000, 60_000])
async def test_sequences_continue_above_those_of_the_former_life(
    jobs: QueueHandle, pause_ms: int
) -> None:
    last = 0
    for version in range(1, 5):
        handle = jobs.on(version=version)
        await handle.create()
        seqs = await handle.post(*new_messages(3))
        assert last < seqs[0] < seqs[1] < seqs[2]
        last = seqs[2]
        await handle.drop()
        if version == 2:
            await handle.sweep_all()
        jobs.clock.advance(ms=pause_ms)


async def test_purge_removes_messages_in_every_state_and_keeps_the_queue(
    jobs: QueueHandle,
) -> None:
    created, _ = await jobs.create(b'{"a":1}')
    seqs = await jobs.post(*new_messages(4), new_message(delay_s=1), new_message(ttl_s=60))
    claim = await jobs.claim_some(2, lease_s=1)
    await jobs.purge()
    for _ in range(2):
        assert await jobs.describe() == created
        assert await jobs.get(*seqs) == []
        assert await jobs.everything() == []
        assert await jobs.get_claim(claim.id) is None
        assert await jobs.counts() == (0, 0)
        assert await jobs.claim() is None
        jobs.clock.advance(s=2)
    await jobs.sweep_all()
    assert await jobs.everything() == []


async def test_sequences_continue_above_purged_messages(jobs: QueueHandle) -> None:
    await jobs.create()
    before = await jobs.post(*new_messages(3))
    await jobs.purge()
    after = await jobs.post(*new_messages(2))
    assert before[-1] < after[0]
    await jobs.sweep_all()
    assert await jobs.listed(after=before[0]) == after
    assert await jobs.counts() == (0, 2)


async def test_stats_count_live_leases_and_show_both_ends(jobs: QueueHandle) -> None:
    await jobs.create()
    assert await jobs.stats() == Stats(0, 0, None, None)
    seqs = await jobs.post(
        new_message("0", ttl_s=60), *new_messages(3), new_message("4", delay_s=60)
    )
    await jobs.claim_some(2, lease_s=120)
    stats = await jobs.stats()
    assert (stats.claimed, stats.total) == (2, 5)
    assert stats.oldest == await jobs.get_one(seqs[0])
    assert stats.newest == await jobs.get_one(seqs[4])
    jobs.clock.advance(s=120)
    stats = await jobs.stats()
    assert (stats.claimed, stats.total) == (0, 5)
    assert stats.oldest is not None
    assert (stats.oldest.claim_id, stats.oldest.visible_ms) == (None, 0)


async def test_stats_leave_out_what_has_expired(jobs: QueueHandle) -> None:
    await jobs.create()
    lives = [(60, "0"), (3600, "1"), (60, "2"), (3600, "3"), (60, "4")]
    seqs = await jobs.post(*(new_message(body, ttl_s=ttl_s) for ttl_s, body in lives))
    jobs.clock.advance(s=60)
    stats = await jobs.stats()
    assert (stats.claimed, stats.total) == (0, 2)
    assert stats.oldest is not None
    assert stats.newest is not None
    assert (stats.oldest.seq, stats.newest.seq) == (seqs[1], seqs[3])


async def test_stats_follow_deletion_pop_and_release(jobs: QueueHandle) -> None:
    await jobs.create()
    seqs = await jobs.post(*new_messages(6))
    claim = await jobs.claim_some(3)
    assert await jobs.counts() == (3, 6)
    await jobs.delete(seqs[0], claim_ids=[claim.id])
    assert await jobs.counts() == (2, 5)
    await jobs.delete(seqs[5])
    assert await jobs.counts() == (2, 4)
    await jobs.pop()
    assert await jobs.counts() == (2, 3)
    await jobs.release(claim.id)
    assert await jobs.counts() == (0, 3)
