"""Lists of records: in the order of keys, page by page, under a prefix."""

from __future__ import annotations

import asyncio
from itertools import product

from queues.model import Record, RecordKind
from tests.conformance.handle import QueueHandle
from tests.conformance.records import RecordsHandle

#: By code point. As UTF-16, as bytes of another encoding or in a language it is another order.
ORDERED = [
    "\0",
    "\0\0",
    "\x01",
    "\n",
    " ",
    "!",
    "%",
    "*",
    "0",
    "1",
    "10",
    "2",
    "A",
    "B",
    "\\",
    "_",
    "a",
    "a\0",
    "a\0b",
    "a b",
    "a.b",
    "a/b",
    "a:b",
    "aa",
    "b",
    "\x7f",
    "\x80",
    "é",
    "ÿ",
    "Ā",
    "\ud7ff",
    "\ud800",
    "\udfff",
    "\ue000",
    "\uffff",
    "\U00010000",
    "\U0001f600",
    "\U0010ffff",
    "\U0010ffff\U0010ffff",
]

PREFIXES = ["", "a", "a\0", "é", "b", "%", "_", "*", "\\", "\0", "\uffff", "\U0010ffff"]
MARKERS = ["", "\0", "a", "a\0b", "aa", "a\U0010ffff", "é"]


async def add_all(records: RecordsHandle, keys: list[str]) -> None:
    for key in sorted(keys, key=hash):
        await records.add(key)


async def pages(records: RecordsHandle, limit: int, prefix: str = "") -> list[list[str]]:
    found: list[list[str]] = []
    marker = ""
    while True:
        page = await records.listed(prefix=prefix, marker=marker, limit=limit)
        found.append(page)
        if len(page) < limit:
            return found
        marker = page[-1]


async def test_keys_ascend_by_code_point(records: RecordsHandle) -> None:
    assert sorted(ORDERED) == ORDERED
    await add_all(records, ORDERED)
    assert await records.listed() == ORDERED


async def test_pages_join_without_gap_or_repetition(records: RecordsHandle) -> None:
    await add_all(records, ORDERED)
    for limit in (1, 2, 7, 38, 39, 40):
        found = await pages(records, limit)
        assert [key for page in found for key in page] == ORDERED, limit
        assert {len(page) for page in found[:-1]} <= {limit}


async def test_a_page_begins_behind_its_marker(records: RecordsHandle) -> None:
    await add_all(records, ORDERED)
    for place, marker in enumerate(ORDERED):
        behind = ORDERED[place + 1 : place + 3]
        assert await records.listed(marker=marker, limit=2) == behind, ascii(marker)
        await records.delete(marker)
        assert await records.listed(marker=marker, limit=2) == behind, ascii(marker)


async def test_a_prefix_and_a_marker_work_together(records: RecordsHandle) -> None:
    await add_all(records, ORDERED)
    for prefix, marker in product(PREFIXES, MARKERS):
        expected = [key for key in ORDERED if key.startswith(prefix) and key > marker]
        where = ascii((prefix, marker))
        assert await records.listed(prefix=prefix, marker=marker) == expected, where
        assert await records.listed(prefix=prefix, marker=marker, limit=2) == expected[:2], (
            where
        )


async def test_a_prefix_ends_where_the_next_one_begins(records: RecordsHandle) -> None:
    keys = ["one", "one\0", "one/1", "one/2", "one0", "onf", "on", "One/1", "one\U0010ffff"]
    await add_all(records, keys)
    assert await records.listed(prefix="one/") == ["one/1", "one/2"]
    assert await records.listed(prefix="one") == sorted(k for k in keys if k[:3] == "one")
    assert await records.listed(prefix="one/10") == []
    assert await pages(records, 1, "one/") == [["one/1"], ["one/2"], []]


async def test_a_list_holds_the_records_as_they_stand(records: RecordsHandle) -> None:
    first, second, third = [
        await records.add(key, key.encode() * 1000, due_ms=records.now_ms) for key in "abc"
    ]
    await records.replace(second._replace(document=b"new", due_ms=None))
    await records.delete("c", version=third.version)
    changed = second._replace(document=b"new", due_ms=None, version=second.version + 1)
    assert await records.page() == [first, changed]


async def test_a_list_is_of_one_project_kind_and_scope(records: RecordsHandle) -> None:
    mine = await records.add("mine")
    others = [
        records.on(project="beta"),
        records.on(scope="order"),
        records.on(scope="orders2"),
        records.on(scope=""),
        records.on(kind=RecordKind.SIGNAL),
        records.on(kind=RecordKind.SIGNAL_DATA),
    ]
    for other in others:
        await other.add("other")
    assert await records.page() == [mine]
    assert [await other.listed() for other in others] == [["other"]] * len(others)


async def test_expired_records_make_no_page_short(
    orders: QueueHandle, records: RecordsHandle
) -> None:
    for number in range(120):
        expires_ms = None if number % 12 == 11 else records.now_ms + 60_000
        await records.add(f"{number:03}", expires_ms=expires_ms)
    records.clock.advance(s=60)
    expected = [f"{number:03}" for number in range(11, 120, 12)]
    assert await records.listed(limit=4) == expected[:4]
    assert await pages(records, 4) == [expected[:4], expected[4:8], expected[8:]]
    await orders.sweep_all()
    assert await pages(records, 4) == [expected[:4], expected[4:8], expected[8:]]


async def test_a_reader_of_pages_meets_all_that_stay(records: RecordsHandle) -> None:
    """Others come, change and go meanwhile."""
    stay = [f"{number:03}" for number in range(0, 60, 3)]
    await add_all(records, stay)

    async def come_change_and_go(number: int) -> None:
        made = await records.add(f"{number:03}")
        changing = Record(*made)._replace(document=b"changed")
        assert await records.replace(changing)
        assert await records.delete(made.key)

    busy = asyncio.gather(*(come_change_and_go(n) for n in range(60) if n % 3))
    found = [key for page in await pages(records, 2) for key in page]
    await busy
    assert found == sorted(set(found))
    assert set(stay) <= set(found)
    assert await records.listed() == stay
