"""The indexes that every request relies on.

NOTE: nx-27017 keeps neither the names, nor the directions, nor the partial filters of
indexes, and its `explain` is that of SQLite, so only their fields can be shown here; which
of them MongoDB takes has to be asked there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from pymongo import IndexModel

from queues.model import RecordKind
from storage_drivers.mongodb import Driver
from storage_drivers.mongodb.indexes import (
    ANSWER_INDEXES,
    CREDENTIAL_INDEXES,
    MESSAGE_INDEXES,
    QUEUE_INDEXES,
    RECORD_INDEXES,
    TOKEN_BUCKET_INDEXES,
)
from storage_drivers.mongodb.layout import escape, queue_id, record_id, record_names, unescape
from tests.drivers.mongodb_storage import fresh_url, opened
from tests.servers.mongodb import MongoServer

NAMES = [
    "",
    " ",
    "a",
    "a b",
    "a!",
    "a~",
    "a/b",
    "a.b",
    "$a",
    "{a}",
    "\0",
    "\x7f",
    "é",
    "漢",
    "\ud800",
    "😀",
]


@pytest.fixture
async def driver(mongodb_server: MongoServer) -> AsyncIterator[Driver]:
    async with opened(fresh_url(mongodb_server)) as driver:
        yield driver


@pytest.mark.mongodb
@pytest.mark.parametrize(
    ("collection", "indexes"),
    [
        ("queues", QUEUE_INDEXES),
        ("messages", MESSAGE_INDEXES),
        ("answers", ANSWER_INDEXES),
        ("credentials", CREDENTIAL_INDEXES),
        ("token_buckets", TOKEN_BUCKET_INDEXES),
        ("records", RECORD_INDEXES),
    ],
)
async def test_opening_makes_the_indexes(
    driver: Driver, collection: str, indexes: Sequence[IndexModel]
) -> None:
    made = await getattr(driver.db, collection).index_information()
    fields = [[name for name, _ in index["key"]] for index in made.values()]
    for index in indexes:
        assert list(index.document["key"]) in fields


@pytest.mark.mongodb
async def test_many_processes_may_open_at_the_same_time(mongodb_server: MongoServer) -> None:
    url = fresh_url(mongodb_server)
    drivers = [Driver(url, timeout_ms=10_000) for _ in range(4)]
    await asyncio.gather(*(driver.open() for driver in drivers))
    for driver in drivers:
        assert await driver.queues.count("alpha") == 0
        await driver.close()


def test_escaped_names_are_printable_and_can_be_read_back() -> None:
    for name in NAMES:
        assert escape(name).isascii()
        assert escape(name).isprintable()
        assert " " not in escape(name)
        assert unescape(escape(name)) == name


def test_escaped_names_sort_like_the_names() -> None:
    assert sorted(NAMES, key=escape) == sorted(NAMES)


def test_no_two_pairs_of_names_share_a_key() -> None:
    pairs = [(project, queue) for project in NAMES for queue in NAMES]
    assert len({queue_id(*pair) for pair in pairs}) == len(pairs)


def test_the_names_of_a_record_can_be_read_back_from_its_key() -> None:
    for project, scope, key in zip(NAMES, NAMES[1:], NAMES[2:], strict=False):
        for kind in RecordKind:
            names = (project, kind, scope, key)
            assert record_names(record_id(*names)) == names


def test_records_of_one_kind_and_scope_sort_like_their_keys() -> None:
    keys = [record_id("alpha", RecordKind.CURSOR, "orders", name) for name in NAMES]
    in_order = sorted(NAMES)
    assert sorted(keys) == [
        record_id("alpha", RecordKind.CURSOR, "orders", n) for n in in_order
    ]
