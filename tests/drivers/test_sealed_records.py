"""Encryption in front of a SQLite file: records and outboxes."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from queues.errors import StorageUnavailable
from queues.model import Record, RecordKind
from queues.records import RecordStore
from queues.storage import Storage, outbox_key
from storage_drivers.sealed import SealedStorage
from tests.clock import MovableClock
from tests.conformance.reference import ReferenceStorage
from tests.conformance.world import World
from tests.drivers.sqlite_storage import opened
from tests.factories import new_messages

KEYS, OTHER_KEYS = {"k1": secrets.token_bytes(32)}, {"k2": secrets.token_bytes(32)}
SECRET = b'{"secret": "attack at dawn"}'


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Storage]:
    async with opened(tmp_path / "nusku.db") as driver:
        yield driver


@pytest.fixture
def sealed(bare: Storage) -> Storage:
    return SealedStorage(bare, KEYS)


def record(key: str, *, seal: bool, due_ms: int | None = None) -> Record:
    return Record(RecordKind.SIGNAL, "q", key, SECRET, 1, due_ms=due_ms, seal=seal)


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def get(records: RecordStore, key: str, clock: MovableClock) -> Record:
    found = await records.get("p", RecordKind.SIGNAL, "q", key, now_ms=clock.now_ms())
    assert found is not None
    return found


async def test_the_file_holds_no_document_that_asked_to_be_sealed(
    bare: Storage, sealed: Storage, clock: MovableClock, tmp_path: Path
) -> None:
    await sealed.records.create("p", record("secret", seal=True), now_ms=clock.now_ms())
    assert (await get(sealed.records, "secret", clock)).document == SECRET
    assert b"dawn" not in everything_in(tmp_path)
    await sealed.records.create("p", record("open", seal=False), now_ms=clock.now_ms())
    assert (await get(bare.records, "open", clock)).document == SECRET


async def test_a_record_that_is_changed_stays_sealed(
    bare: Storage, sealed: Storage, clock: MovableClock
) -> None:
    now_ms = clock.now_ms()
    await sealed.records.create("p", record("a", seal=True, due_ms=now_ms), now_ms=now_ms)
    (taken,) = await sealed.records.take(limit=10, lease_ms=1000, now_ms=now_ms)
    assert await sealed.records.replace("p", taken.record._replace(due_ms=None), now_ms=now_ms)
    (listed,) = await sealed.records.list(
        "p", RecordKind.SIGNAL, "q", prefix="", marker="", limit=10, now_ms=now_ms
    )
    assert (listed.document, listed.seal, listed.due_ms) == (SECRET, True, None)
    assert b"dawn" not in (await get(bare.records, "a", clock)).document


async def test_an_outbox_is_sealed_with_its_post(
    bare: Storage, sealed: Storage, clock: MovableClock
) -> None:
    now_ms = clock.now_ms()
    await sealed.queues.create("p", "q", metadata=b"{}", version=1, now_ms=now_ms)
    outbox = Record(RecordKind.OUTBOX, "q", "", SECRET, 1, seal=True)
    (seq,) = await sealed.messages.post(
        "p",
        "q",
        new_messages(1),
        queue_version=1,
        idempotency=None,
        now_ms=now_ms,
        outbox=outbox,
    )
    key = outbox_key(seq)
    stored = await bare.records.get("p", RecordKind.OUTBOX, "q", key, now_ms=now_ms)
    assert stored is not None
    assert b"dawn" not in stored.document
    opened_ = await sealed.records.get("p", RecordKind.OUTBOX, "q", key, now_ms=now_ms)
    assert opened_ is not None
    assert opened_.document == SECRET
    assert (await sealed.messages.tail("p", "q")).seq == seq
    assert await sealed.messages.next_due("p", "q", now_ms=now_ms) is None


async def test_what_cannot_be_opened_is_said_and_left(
    bare: Storage, sealed: Storage, clock: MovableClock, caplog: pytest.LogCaptureFixture
) -> None:
    now_ms = clock.now_ms()
    await sealed.records.create("p", record("a", seal=True, due_ms=now_ms), now_ms=now_ms)
    await sealed.records.create("p", record("b", seal=False, due_ms=now_ms), now_ms=now_ms)
    other = SealedStorage(bare, OTHER_KEYS)
    with pytest.raises(StorageUnavailable, match=r"signal a of q .* no key 'k1'"):
        await get(other.records, "a", clock)
    taken = await other.records.take(limit=10, lease_ms=1000, now_ms=now_ms)
    assert [one.record.key for one in taken] == ["b"]
    assert "no key 'k1' is configured" in caplog.text
    again = await sealed.records.take(limit=10, lease_ms=1000, now_ms=clock.advance(s=1))
    assert {one.record.key for one in again} == {"a", "b"}


async def test_a_sealed_record_of_another_project_does_not_open(
    bare: Storage, sealed: Storage, clock: MovableClock
) -> None:
    now_ms = clock.now_ms()
    await sealed.records.create("p", record("a", seal=True), now_ms=now_ms)
    stolen = await get(bare.records, "a", clock)
    await bare.records.create("other", stolen._replace(version=1), now_ms=now_ms)
    with pytest.raises(StorageUnavailable, match="does not authenticate"):
        await sealed.records.get("other", RecordKind.SIGNAL, "q", "a", now_ms=now_ms)


async def test_wakeups_are_those_of_the_store() -> None:
    inner = ReferenceStorage(World())
    assert SealedStorage(inner, KEYS).wakeups is inner.wakeups
