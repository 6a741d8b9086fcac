"""Revocations: known in every process as soon as they are made, until nobody needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from queues.model import Revocations
from tests.conformance.harness import Harness
from tests.conformance.project import UNKNOWN, ProjectHandle

NOTHING = Revocations(0, frozenset())


async def test_where_nothing_was_revoked_the_version_is_zero(alpha: ProjectHandle) -> None:
    await alpha.add()
    assert await alpha.revocations(known=0) is None
    for known in (UNKNOWN, 1, alpha.now_ms):
        assert await alpha.revocations(known) == NOTHING


async def test_a_revoked_credential_has_ended(alpha: ProjectHandle) -> None:
    await alpha.add("id-1", uses_left=3)
    await alpha.add("id-2")
    assert await alpha.revoke("id-1")
    assert await alpha.get("id-1") is None
    assert await alpha.listed() == ["id-2"]
    assert await alpha.get("id-2") is not None


async def test_revoking_what_is_not_live_is_false_and_changes_nothing(
    alpha: ProjectHandle,
) -> None:
    await alpha.add("old", ttl_s=60)
    await alpha.add("revoked")
    assert await alpha.revoke("revoked")
    alpha.clock.advance(s=60)
    before = await alpha.all_revocations()
    for credential_id in ("old", "revoked", "unknown", ""):
        assert not await alpha.revoke(credential_id)
    assert await alpha.revocations(before.version) is None
    assert await alpha.all_revocations() == before


async def test_another_instance_learns_what_was_revoked(twins: list[ProjectHandle]) -> None:
    one, other = twins
    versions = [0]
    for number in range(4):
        await one.add(f"id-{number}")
        assert await other.revocations(versions[-1]) is None
        assert await one.revoke(f"id-{number}")
        found = await other.revocations(versions[-1])
        assert found is not None
        assert found.ids == {f"id-{n}" for n in range(number + 1)}
        assert await one.revocations(versions[-1]) == found
        assert await other.revocations(found.version) is None
        versions.append(found.version)
    assert versions == sorted(set(versions))
    for known in (*versions[:-1], UNKNOWN):
        found = await other.revocations(known)
        assert found == Revocations(versions[-1], frozenset(f"id-{n}" for n in range(4)))


async def test_versions_follow_the_clock(alpha: ProjectHandle) -> None:
    for number in range(3):
        await alpha.add(f"id-{number}")
    assert await alpha.revoke("id-0")
    assert (await alpha.all_revocations()).version >= alpha.now_ms
    assert await alpha.revoke("id-1")
    alpha.clock.advance(s=60)
    assert await alpha.revoke("id-2")
    assert (await alpha.all_revocations()).version >= alpha.now_ms


@pytest.fixture
async def emptied(
    alpha: ProjectHandle, harness: Harness, tmp_path: Path
) -> AsyncIterator[ProjectHandle]:
    """The same project after the store has lost everything."""
    fresh = Harness(harness.backend, tmp_path)
    yield alpha.on(storage=await fresh.another())
    await fresh.close_all()


async def test_a_store_that_lost_everything_repeats_no_version(
    alpha: ProjectHandle, emptied: ProjectHandle
) -> None:
    await alpha.add("lost")
    await alpha.revoke("lost")
    known = (await alpha.all_revocations()).version
    assert await emptied.revocations(known) == NOTHING
    alpha.clock.advance(ms=1)
    await emptied.add("new")
    await emptied.revoke("new")
    found = await emptied.revocations(known)
    assert found is not None
    assert found.ids == {"new"}


async def test_a_revocation_is_named_until_the_credential_would_have_expired(
    alpha: ProjectHandle,
) -> None:
    queue = await alpha.queue("any")
    await alpha.add("soon", ttl_s=60)
    await alpha.add("late", ttl_s=600)
    for credential_id in ("soon", "late"):
        await alpha.revoke(credential_id)
    version = (await alpha.all_revocations()).version
    for step_ms, named in ((59_999, {"soon", "late"}), (1, {"late"}), (539_999, {"late"})):
        alpha.clock.advance(ms=step_ms)
        assert await alpha.revoked() == named
        await queue.sweep_all()
        assert await alpha.all_revocations() == Revocations(version, frozenset(named))
        assert await alpha.revocations(version) is None
    alpha.clock.advance(ms=1)
    assert await alpha.revoked() == frozenset()
    await queue.sweep_all()
    assert await alpha.all_revocations() == Revocations(version, frozenset())
    assert await alpha.revocations(version) is None
    assert await alpha.revocations(0) == Revocations(version, frozenset())


async def test_what_expired_without_being_revoked_is_never_named(alpha: ProjectHandle) -> None:
    await alpha.add("old", ttl_s=60)
    await alpha.add("revoked")
    await alpha.revoke("revoked")
    alpha.clock.advance(s=60)
    assert await alpha.revoked() == {"revoked"}


async def test_revocations_are_those_of_all_projects(alpha: ProjectHandle) -> None:
    names = ["", "alpha", "a/b", "{a}", "a\0b", "é"]
    for number, name in enumerate(names):
        project = alpha.on(project=name)
        await project.add(f"id-{number}")
        assert await project.revoke(f"id-{number}")
    assert await alpha.revoked() == {f"id-{number}" for number in range(len(names))}


async def test_of_concurrent_revocations_one_is_the_first(twins: list[ProjectHandle]) -> None:
    for number in range(5):
        await twins[0].add(f"id-{number}")
        answers = await asyncio.gather(
            *(twins[n % 2].revoke(f"id-{number}") for n in range(10))
        )
        assert sorted(answers) == [False] * 9 + [True]


async def test_no_reader_misses_one_of_many_concurrent_revocations(
    twins: list[ProjectHandle],
) -> None:
    ids = [f"id-{number}" for number in range(30)]
    for credential_id in ids:
        await twins[0].add(credential_id)
    views = [NOTHING, NOTHING]

    async def end(at: int, credential_id: str) -> None:
        assert await twins[at].revoke(credential_id)
        for side in (0, 1):
            found = await twins[side].revocations(views[side].version)
            # NOTE: a newer answer may have come in meanwhile; versions ascend.
            if found is not None and found.version > views[side].version:
                views[side] = found
            assert credential_id in views[side].ids

    await asyncio.gather(*(end(n % 2, name) for n, name in enumerate(ids)))
    assert views[0] == views[1]
    assert views[0].ids == set(ids)


async def test_a_use_and_a_revocation_at_once_leave_the_credential_ended(
    twins: list[ProjectHandle],
) -> None:
    for number in range(5):
        await twins[0].add(f"id-{number}", uses_left=100)
        spending = asyncio.gather(*(twins[n % 2].spend(f"id-{number}") for n in range(10)))
        assert await twins[number % 2].revoke(f"id-{number}")
        await spending
        assert await twins[0].get(f"id-{number}") is None
        assert not await twins[1].spend(f"id-{number}")
