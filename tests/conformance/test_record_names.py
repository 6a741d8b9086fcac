"""Names of records: whatever characters they have, each means one place and no other."""

from __future__ import annotations

from itertools import permutations

import pytest

from queues.model import RecordKind
from tests.conformance.collisions import COLLIDING
from tests.conformance.handle import QueueHandle
from tests.conformance.records import RecordsHandle

#: Projects, scopes and keys that run into one another where three names are joined.
PLACES = [
    *([(project, name, "key") for project, name in row] for row in COLLIDING),
    *([(project, "orders", name) for project, name in row] for row in COLLIDING),
    *([("alpha", scope, name) for scope, name in row] for row in COLLIDING),
    *(
        list(permutations(names))
        for names in (
            ("a", "a/b", "b"),
            ("a", "a\0b", "b"),
            ("a", "\0", "\0\0"),
            ("a:", ":", ":a"),
            ("\ud800", "\udc00", "\U00010000"),
        )
    ),
]

#: 512 bytes each.
LONGEST = sorted(
    [
        "k" * 512,
        "k" * 511 + "l",
        "l" + "k" * 511,
        "é" * 256,
        "\uffff" * 170 + "kk",
        "\ud800" * 170 + "kk",
        "\U0001f600" * 128,
        "\0" * 512,
        "\0" * 511 + "\1",
        "/" * 512,
        "%" * 512,
    ]
)


@pytest.fixture
def places(records: RecordsHandle) -> dict[tuple[RecordsHandle, str], bytes]:
    """Handles and keys of all places, with the document that is to be there."""
    rows = dict.fromkeys(place for row in PLACES for place in row)
    return {
        (records.on(project=project, scope=scope), key): b'{"n":%d}' % n
        for n, (project, scope, key) in enumerate(rows)
    }


async def test_no_name_is_taken_for_another(
    places: dict[tuple[RecordsHandle, str], bytes],
) -> None:
    made = {
        (handle, key): await handle.add(key, document)
        for (handle, key), document in places.items()
    }
    for handle, key in places:
        assert await handle.get(key) == made[handle, key]
        mine = [record for (other, _), record in made.items() if other == handle]
        assert await handle.page() == sorted(mine, key=lambda record: record.key)


async def test_no_change_reaches_another_name(records: RecordsHandle) -> None:
    for row in PLACES:
        (victim, name), *others = [
            (records.on(project=project, scope=scope), key) for project, scope, key in row
        ]
        made = await victim.add(name, b"mine", version=7)
        for handle, key in others:
            assert await handle.get(key) is None
            assert not await handle.replace(handle.made(key, b"theirs", version=7))
            assert not await handle.delete(key)
            await handle.add(key, b"theirs", version=7)
            assert await handle.replace(handle.made(key, b"changed", version=7))
            assert await handle.delete(key, version=8)
        assert await victim.get(name) == made
        assert await victim.page() == [made]
        assert await victim.delete(name)


async def test_what_is_taken_is_named_as_it_was_stored(
    records: RecordsHandle, places: dict[tuple[RecordsHandle, str], bytes]
) -> None:
    for (handle, key), document in places.items():
        await handle.add(key, document, due_ms=handle.now_ms)
    taken = await records.take_all()
    found = {
        (each.project, each.record.scope, each.record.key): each.record.document
        for each in taken
    }
    assert len(taken) == len(places)
    assert found == {
        (handle.project, handle.scope, key): document
        for (handle, key), document in places.items()
    }
    for (handle, key), document in places.items():
        held = await handle.get(key)
        assert held is not None
        assert held.document == document
        assert await handle.replace(held._replace(due_ms=None))


async def test_keys_of_the_greatest_length_are_kept_whole(records: RecordsHandle) -> None:
    assert {len(key.encode(errors="surrogatepass")) for key in LONGEST} == {512}
    made = [await records.add(key, due_ms=records.now_ms) for key in LONGEST]
    assert await records.page() == made
    for record in made:
        assert await records.get(record.key) == record
        assert await records.listed(prefix=record.key) == [record.key]
    assert await records.listed(prefix="k" * 511) == ["k" * 512, "k" * 511 + "l"]
    marker = "k" * 512
    assert await records.listed(marker=marker, limit=1) == ["k" * 511 + "l"]
    taken = await records.take_all()
    assert sorted(each.record.key for each in taken) == LONGEST


async def test_an_unknown_project_has_no_records(
    orders: QueueHandle, records: RecordsHandle
) -> None:
    made = await records.add(due_ms=records.now_ms + 60_000)
    for kind in RecordKind:
        for scope in ("orders", ""):
            stranger = records.on(project="stranger", kind=kind, scope=scope)
            assert await stranger.get() is None
            assert await stranger.page() == []
            assert not await stranger.replace(stranger.made(version=made.version))
            assert not await stranger.delete()
    await orders.on(project="stranger").drop()
    await orders.sweep_all()
    assert await records.page() == [made]
