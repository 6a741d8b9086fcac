"""Tenancy: nothing of one project can be seen or touched from another, whatever its name."""

from __future__ import annotations

from itertools import permutations

import pytest

from queues.errors import ClaimLost, QueueChanged, QueueNotFound
from queues.model import Stats
from queues.storage import Storage
from tests.clock import MovableClock
from tests.conformance.collisions import COLLIDING, PLACES
from tests.conformance.handle import QueueHandle, seqs_of
from tests.factories import dead_letters, idempotency, new_message, new_messages


async def created(
    storage: Storage, clock: MovableClock, places: list[tuple[str, str]]
) -> list[QueueHandle]:
    """Create queues in these projects, each under a version of its own."""
    found = [
        QueueHandle(storage, clock, project, queue, version)
        for version, (project, queue) in enumerate(places, start=1)
    ]
    for handle in found:
        await handle.create(b'{"v":%d}' % handle.version)
    return found


@pytest.fixture
async def handles(storage: Storage, clock: MovableClock) -> list[QueueHandle]:
    """Queues whose names collide."""
    return await created(storage, clock, PLACES)


async def test_each_project_sees_its_own_queues_and_messages_only(
    handles: list[QueueHandle],
) -> None:
    mine = {
        handle: await handle.post(*(new_message(f"{handle.version}") for _ in range(2)))
        for handle in handles
    }
    for handle in handles:
        same_project = [other for other in handles if other.project == handle.project]
        queues = await handle.storage.queues.list(handle.project, marker="", limit=100)
        assert [q.name for q in queues] == sorted(other.queue for other in same_project)
        assert await handle.storage.queues.count(handle.project) == len(same_project)
        described = await handle.describe()
        assert described is not None
        assert (described.name, described.version) == (handle.queue, handle.version)
        assert described.metadata == b'{"v":%d}' % handle.version
        found = await handle.everything()
        assert seqs_of(found) == mine[handle]
        assert {m.body for m in found} == {b"%d" % handle.version}
        assert await handle.counts() == (0, 2)


@pytest.mark.parametrize("row", COLLIDING, ids=lambda names: ascii(names[0]))
async def test_no_write_of_one_project_reaches_another(
    storage: Storage, clock: MovableClock, row: list[tuple[str, str]]
) -> None:
    victim, *others = await created(storage, clock, row)
    (held, free) = await victim.post(*new_messages(2))
    claim = await victim.claim_some(1, claim_id="shared-id")
    before = await victim.everything(), await victim.stats(), await victim.describe()
    for other in others:
        await other.delete(held, free)
        await other.delete(held, free, claim_ids=["shared-id"])
        await other.release("shared-id")
        with pytest.raises(ClaimLost):
            await other.renew("shared-id")
        assert await other.get_claim("shared-id") is None
        assert await other.claim() is None
        assert await other.pop(10) == []
        await other.purge()
        await other.drop()
    await victim.sweep_all()
    assert (await victim.everything(), await victim.stats(), await victim.describe()) == before
    assert await victim.get_claim("shared-id") == claim


async def test_keys_and_claims_of_one_project_mean_nothing_in_another(
    handles: list[QueueHandle],
) -> None:
    for handle in handles:
        seqs = await handle.post(idempotency=idempotency("k"))
        claim = await handle.claim_some(claim_id="c", idempotency=idempotency("c"))
        assert seqs_of(claim.messages) == seqs
        await handle.renew("c", idempotency=idempotency("r"))
    for handle in handles:
        assert await handle.counts() == (1, 1)
        await handle.release("c")
        assert await handle.counts() == (0, 1)


async def test_dead_letters_stay_in_their_project(handles: list[QueueHandle]) -> None:
    for handle in handles:
        await handle.post(new_message(f"{handle.version}"))
        claim = await handle.claim_some()
        await handle.release(claim.id)
    for handle in handles:
        policy = dead_letters("dead", version=100 + handle.version)
        assert await handle.claim(dead_letter=policy) is None
    for handle in handles:
        moved = await handle.on(queue="dead").everything()
        same = [h for h in handles if h.project == handle.project]
        bodies = {m.body: m.dead_letter.queue for m in moved if m.dead_letter}
        assert bodies == {b"%d" % h.version: h.queue for h in same}


async def test_sequences_of_one_queue_find_nothing_of_another_at_the_same_place(
    storage: Storage, clock: MovableClock
) -> None:
    names = ("alpha", "beta")
    handles = [QueueHandle(storage, clock, project, "q") for project in names]
    seqs: dict[str, list[int]] = {}
    for handle in handles:
        await handle.create()
        seqs[handle.project] = await handle.post(*new_messages(3))
    for one, other in permutations(handles):
        found = await one.get(*seqs[other.project])
        expected = set(seqs[one.project]) & set(seqs[other.project])
        assert {m.seq for m in found} == expected
        page = await one.page(after=seqs[other.project][0])
        assert set(seqs_of(page.messages)) <= set(seqs[one.project])


async def test_an_unknown_project_is_empty(orders: QueueHandle) -> None:
    seqs = await orders.post()
    stranger = orders.on(project="stranger")
    assert await stranger.describe() is None
    assert list(await stranger.storage.queues.list("stranger", marker="", limit=9)) == []
    assert await stranger.storage.queues.count("stranger") == 0
    assert await stranger.stats() == Stats(0, 0, None, None)
    assert await stranger.everything() == []
    assert await stranger.get(*seqs) == []
    with pytest.raises(QueueChanged):
        await stranger.post()
    with pytest.raises(QueueChanged):
        await stranger.claim()
    with pytest.raises(QueueNotFound):
        await stranger.update(b"{}", expected_version=1, version=2)
