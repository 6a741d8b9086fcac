"""Credentials: found until they expire or are revoked, used no more often than allowed."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import product

import pytest

from queues.model import Credential, CredentialKind
from tests.conformance.collisions import COLLIDING, PLACES
from tests.conformance.project import ProjectHandle

TOKEN, SHARE = CredentialKind.TOKEN, CredentialKind.SHARE


async def test_a_credential_is_found_as_it_was_added(alpha: ProjectHandle) -> None:
    documents = (b"", b'{"rules":["a"]}', b"\0\xff\x80", b"x" * 20_000)
    cases = product(CredentialKind, (None, 0, 1, 10_000), documents)
    for number, (kind, uses_left, document) in enumerate(cases):
        fields = (kind, uses_left, document[:20])
        project = alpha.on(project=f"project-{number}")
        added = await project.add(kind=kind, document=document, uses_left=uses_left)
        found = await project.get()
        assert found == added, fields
        assert isinstance(found, Credential)
        assert isinstance(found.kind, CredentialKind)
        assert await project.page(kind) == [added], fields


async def test_an_unknown_credential_is_none(alpha: ProjectHandle) -> None:
    assert await alpha.get() is None
    await alpha.add("id-1")
    assert await alpha.get("id-2") is None
    assert await alpha.get("") is None


async def test_what_one_instance_added_another_finds_at_once(
    twins: list[ProjectHandle],
) -> None:
    one, other = twins
    for number in range(5):
        added = await one.add(f"id-{number}", uses_left=1)
        assert await other.get(added.id) == added
        assert await other.spend(added.id)
        assert not await one.spend(added.id)


async def test_a_credential_ends_exactly_when_it_expires(alpha: ProjectHandle) -> None:
    await alpha.add("id-1", ttl_s=60, uses_left=9)
    await alpha.add("id-2", ttl_s=61)
    alpha.clock.advance(ms=59_999)
    assert await alpha.get("id-1") is not None
    assert await alpha.spend("id-1")
    assert await alpha.listed() == ["id-1", "id-2"]
    alpha.clock.advance(ms=1)
    assert await alpha.get("id-1") is None
    assert not await alpha.spend("id-1")
    assert not await alpha.revoke("id-1")
    assert await alpha.listed() == ["id-2"]
    assert await alpha.get("id-2") is not None


async def test_one_that_has_expired_before_it_is_added_is_never_seen(
    alpha: ProjectHandle,
) -> None:
    await alpha.add(ttl_s=0)
    assert await alpha.get() is None
    assert await alpha.listed() == []
    assert not await alpha.revoke()


async def test_adding_an_id_again_changes_nothing(alpha: ProjectHandle) -> None:
    added = await alpha.add(uses_left=2)
    assert await alpha.spend()
    alpha.clock.advance(s=10)
    await alpha.add_credential(added)
    await alpha.add(kind=SHARE, document=b"other", ttl_s=9000, uses_left=5)
    assert await alpha.get() == added._replace(uses_left=1)
    assert await alpha.listed(SHARE) == []


async def test_adding_an_id_again_ends_no_revocation(alpha: ProjectHandle) -> None:
    added = await alpha.add()
    await alpha.revoke()
    before = await alpha.all_revocations()
    await alpha.add_credential(added)
    assert await alpha.get() is None
    assert await alpha.listed() == []
    assert not await alpha.spend()
    assert not await alpha.revoke()
    assert await alpha.all_revocations() == before


@pytest.mark.parametrize("revoked", [False, True])
async def test_an_id_that_has_expired_can_be_added_anew(
    alpha: ProjectHandle, revoked: bool
) -> None:
    await alpha.add(ttl_s=60, uses_left=2)
    assert await alpha.spend()
    assert not revoked or await alpha.revoke()
    alpha.clock.advance(s=60)
    added = await alpha.add(kind=SHARE, document=b"other", uses_left=5)
    assert await alpha.get() == added
    assert await alpha.page(SHARE) == [added]
    assert await alpha.listed(TOKEN) == []
    assert await alpha.revoked() == frozenset()


async def test_of_concurrent_adds_of_an_id_one_counts(twins: list[ProjectHandle]) -> None:
    made = [twins[0].made(document=b"%d" % number, uses_left=3) for number in range(12)]
    await asyncio.gather(*(twins[n % 2].add_credential(m) for n, m in enumerate(made)))
    found = await twins[0].get()
    assert found in made
    assert await twins[1].page() == [found]


async def test_kinds_are_listed_apart(alpha: ProjectHandle) -> None:
    for number in range(6):
        await alpha.add(f"id-{number}", kind=(TOKEN, SHARE)[number % 2])
    assert await alpha.listed(TOKEN) == ["id-0", "id-2", "id-4"]
    assert await alpha.listed(SHARE) == ["id-1", "id-3", "id-5"]
    assert await alpha.get("id-1") is not None


async def test_ids_ascend_by_code_point(alpha: ProjectHandle) -> None:
    ids = ["-", "0", "00", "A", "Z", "_", "a", "a b", "ab", "b", "é", "\uffee", "\U0001f600"]
    for credential_id in reversed(ids):
        await alpha.add(credential_id)
    assert await alpha.listed() == ids == sorted(ids)
    for at, marker in enumerate(ids):
        assert await alpha.listed(marker=marker) == ids[at + 1 :]


async def test_a_reader_that_pages_by_id_meets_each_credential_once(
    alpha: ProjectHandle,
) -> None:
    ids = [f"id-{number:02}" for number in range(25)]
    for credential_id in ids:
        await alpha.add(credential_id)
    seen: list[str] = []
    while page := await alpha.listed(marker=seen[-1] if seen else "", limit=10):
        assert len(page) == 10 or seen + page == ids
        seen += page
    assert seen == ids
    assert await alpha.listed(marker="id-077") == ids[8:]


async def test_what_has_ended_makes_no_page_short(alpha: ProjectHandle) -> None:
    for number in range(40):
        await alpha.add(f"id-{number:02}", ttl_s=60 if number < 15 else 3600)
    for number in range(20, 35):
        await alpha.revoke(f"id-{number:02}")
    alpha.clock.advance(s=60)
    living = [f"id-{number:02}" for number in (*range(15, 20), *range(35, 40))]
    assert await alpha.listed(limit=3) == living[:3]
    assert await alpha.listed(limit=7) == living[:7]
    assert await alpha.listed(marker="id-19", limit=5) == living[5:]
    assert await alpha.listed(limit=11) == living


async def test_a_credential_can_be_used_as_often_as_it_says(alpha: ProjectHandle) -> None:
    added = await alpha.add(uses_left=3)
    assert [await alpha.spend() for _ in range(5)] == [True, True, True, False, False]
    assert await alpha.get() == added._replace(uses_left=0)
    assert await alpha.page() == [added._replace(uses_left=0)]


async def test_any_number_of_uses_never_ends(alpha: ProjectHandle) -> None:
    added = await alpha.add(uses_left=None)
    assert all([await alpha.spend() for _ in range(5)])
    assert await alpha.get() == added


async def test_what_is_unknown_or_revoked_cannot_be_used(alpha: ProjectHandle) -> None:
    for credential_id, uses_left in (("few", 2), ("any", None)):
        assert not await alpha.spend(credential_id)
        assert await alpha.get(credential_id) is None
        await alpha.add(credential_id, uses_left=uses_left)
        await alpha.revoke(credential_id)
        assert not await alpha.spend(credential_id)


async def test_of_concurrent_uses_as_many_succeed_as_are_left(
    twins: list[ProjectHandle],
) -> None:
    await twins[0].add("some", uses_left=17)
    await twins[1].add("one", uses_left=1)
    some = await asyncio.gather(*(twins[n % 2].spend("some") for n in range(40)))
    one = await asyncio.gather(*(twins[n % 2].spend("one") for n in range(20)))
    assert Counter(some) == {True: 17, False: 23}
    assert Counter(one) == {True: 1, False: 19}


@pytest.fixture(params=COLLIDING, ids=lambda names: ascii(names[0]))
def colliding(
    request: pytest.FixtureRequest, alpha: ProjectHandle
) -> list[tuple[ProjectHandle, str]]:
    """Projects and ids of credentials in them that collide."""
    return [(alpha.on(project=project), name) for project, name in request.param]


async def test_each_project_has_its_own_credentials(alpha: ProjectHandle) -> None:
    colliding = [(alpha.on(project=project), name) for project, name in PLACES]
    added = [
        await project.add(name, document=b"%d" % number, uses_left=number)
        for number, (project, name) in enumerate(colliding)
    ]
    for mine, (project, name) in zip(added, colliding, strict=True):
        assert await project.get(name) == mine
        names = [other for owner, other in colliding if owner.project == project.project]
        assert await project.listed() == sorted(names)
        assert mine in await project.page()


async def test_no_project_uses_or_ends_the_credential_of_another(
    colliding: list[tuple[ProjectHandle, str]],
) -> None:
    (victim, mine), *others = colliding
    added = await victim.add(mine, uses_left=2)
    theirs = {(other, name) for other, own in others for name in (own, mine)}
    for other, name in theirs - {(victim, mine)}:
        assert await other.get(name) is None
        assert not await other.spend(name)
        assert not await other.revoke(name)
        await other.add(name, ttl_s=1, document=b"mine", uses_left=1)
        assert await other.spend(name)
        assert await other.revoke(name)
    assert await victim.get(mine) == added
    victim.clock.advance(s=10)
    await (await victim.queue("any")).sweep_all()
    assert await victim.listed() == [mine]
    assert await victim.get(mine) == added
