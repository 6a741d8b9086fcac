"""Quotas: the documents that hold the limits of projects, found until they are deleted."""

from __future__ import annotations

import pytest

from queues.ledgers import QuotaStore
from tests.conformance.collisions import COLLIDING
from tests.conformance.project import ProjectHandle

NAMES = sorted({project for row in COLLIDING for project, _ in row})


@pytest.fixture
def quotas(alpha: ProjectHandle) -> QuotaStore:
    return alpha.storage.quotas


@pytest.mark.parametrize("document", [b"", b'{"queues":5}', b"\0\xff\x80", b"x" * 20_000])
async def test_a_document_is_found_as_it_was_put(quotas: QuotaStore, document: bytes) -> None:
    await quotas.put("alpha", document)
    assert await quotas.get("alpha") == document
    assert list(await quotas.list(marker=None, limit=10)) == [("alpha", document)]


async def test_a_project_without_limits_has_none(quotas: QuotaStore) -> None:
    assert await quotas.get("alpha") is None
    assert list(await quotas.list(marker=None, limit=10)) == []


async def test_a_new_document_takes_the_place_of_the_old(quotas: QuotaStore) -> None:
    for document in (b"one", b"two", b""):
        await quotas.put("alpha", document)
        assert await quotas.get("alpha") == document
    assert list(await quotas.list(marker=None, limit=10)) == [("alpha", b"")]


async def test_a_deleted_document_is_gone_and_deleting_it_again_is_no_error(
    quotas: QuotaStore,
) -> None:
    await quotas.put("alpha", b"{}")
    await quotas.put("beta", b"{}")
    for _ in range(2):
        await quotas.delete("alpha")
        assert await quotas.get("alpha") is None
        assert list(await quotas.list(marker=None, limit=10)) == [("beta", b"{}")]
    await quotas.put("alpha", b"new")
    assert await quotas.get("alpha") == b"new"


async def test_another_instance_finds_at_once_what_was_put_and_deleted(
    twins: list[ProjectHandle],
) -> None:
    one, other = (twin.storage.quotas for twin in twins)
    for number in range(5):
        await one.put("alpha", b"%d" % number)
        assert await other.get("alpha") == b"%d" % number
        await other.delete("alpha")
        assert await one.get("alpha") is None


async def test_projects_are_strangers_and_listed_by_code_point(quotas: QuotaStore) -> None:
    for number, name in enumerate(NAMES):
        await quotas.put(name, b"%d" % number)
    for number, name in enumerate(NAMES):
        assert await quotas.get(name) == b"%d" % number
    pairs = [(name, b"%d" % number) for number, name in enumerate(NAMES)]
    assert list(await quotas.list(marker=None, limit=1000)) == pairs
    for name in NAMES[::2]:
        await quotas.delete(name)
    assert [name for name, _ in await quotas.list(marker=None, limit=1000)] == NAMES[1::2]


async def test_a_reader_that_pages_meets_each_project_once(quotas: QuotaStore) -> None:
    for name in NAMES:
        await quotas.put(name, b"{}")
    for limit in (1, 7):
        seen: list[str] = []
        marker: str | None = None
        while page := await quotas.list(marker=marker, limit=limit):
            assert len(page) == limit or len(seen) + len(page) == len(NAMES)
            seen += [name for name, _ in page]
            marker = seen[-1]
        assert seen == NAMES


async def test_a_marker_need_not_exist_and_an_empty_one_is_the_empty_project(
    quotas: QuotaStore,
) -> None:
    for name in ("", "\0", "a", "c"):
        await quotas.put(name, b"{}")
    for marker, names in (
        (None, ["", "\0", "a", "c"]),
        ("", ["\0", "a", "c"]),
        ("\0", ["a", "c"]),
        ("a", ["c"]),
        ("b", ["c"]),
        ("c", []),
    ):
        page = await quotas.list(marker=marker, limit=10)
        assert [name for name, _ in page] == names
