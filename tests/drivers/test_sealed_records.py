"""Encrypted records in a SQLite file: what it holds, and what happens without a key."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from queues.errors import StorageUnavailable
from queues.model import Record, RecordKind
from queues.records import legible
from queues.storage import outbox_key
from storage_drivers.sealed import SealedStorage
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle
from tests.conformance.records import LEASE_S, RecordsHandle, keys_of
from tests.drivers.sqlite_storage import opened

OLD, NEW = {"k1": secrets.token_bytes(32)}, {"k2": secrets.token_bytes(32)}
SECRET = b'{"plan":"attack at dawn"}'


@pytest.fixture
async def bare(tmp_path: Path, clock: MovableClock) -> AsyncIterator[RecordsHandle]:
    """The records in the file, without encryption."""
    async with opened(tmp_path / "nusku.db") as driver:
        yield RecordsHandle(driver, clock)


def with_keys(bare: RecordsHandle, keys: Mapping[str, bytes]) -> RecordsHandle:
    return bare.on(storage=SealedStorage(bare.storage, keys))


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def add_secret(
    records: RecordsHandle, key: str = "secret", *, due_ms: int | None = None
) -> Record:
    made = records.made(key, SECRET, due_ms=due_ms)._replace(seal=True)
    assert await records.create(made)
    return made


async def whole(records: RecordsHandle, key: str = "secret") -> Record | None:
    """Return the record with `seal`, which the handle leaves out."""
    return await records.storage.records.get(
        records.project, records.kind, records.scope, key, now_ms=records.now_ms
    )


async def test_the_file_holds_no_document_that_was_to_be_encrypted(
    bare: RecordsHandle, tmp_path: Path
) -> None:
    records = with_keys(bare, OLD)
    made = await add_secret(records)
    await records.add("open", b"all may know")
    queue = QueueHandle(records.storage, records.clock)
    await queue.create()
    await queue.post(outbox=made._replace(kind=RecordKind.OUTBOX, key=""))
    assert await records.replace(made._replace(document=SECRET * 2))
    files = everything_in(tmp_path)
    assert b"all may know" in files
    assert b"dawn" not in files


async def test_what_was_encrypted_says_so_when_it_comes_back(bare: RecordsHandle) -> None:
    records = with_keys(bare, OLD)
    made = await add_secret(records)
    plain = await records.add("open")
    assert await whole(records) == made
    assert await whole(records, "open") == plain
    changed = made._replace(document=SECRET * 2)
    assert await records.replace(changed)
    found = await whole(records)
    assert found == changed._replace(version=made.version + 1)
    assert found.seal
    with pytest.raises(StorageUnavailable):
        legible(await bare.get("secret") or plain)


async def test_an_outbox_is_encrypted_with_its_messages(bare: RecordsHandle) -> None:
    records = with_keys(bare, OLD).on(kind=RecordKind.OUTBOX)
    queue = QueueHandle(records.storage, records.clock)
    await queue.create()
    made = records.made("", SECRET, due_ms=records.now_ms)._replace(seal=True)
    (seq,) = await queue.post(outbox=made)
    assert await whole(records, outbox_key(seq)) == made._replace(key=outbox_key(seq))
    (taken,) = await records.take_all()
    assert taken.record.document == SECRET
    assert await records.replace(taken.record._replace(seal=True, document=SECRET * 2))
    assert [record.document for record in await records.page()] == [SECRET * 2]
    with pytest.raises(StorageUnavailable):
        legible((await bare.on(kind=RecordKind.OUTBOX).page())[0])


async def test_a_document_that_was_moved_does_not_open(bare: RecordsHandle) -> None:
    await add_secret(with_keys(bare, OLD))
    (stored,) = await bare.page()
    for place in (bare.on(project="beta"), bare.on(scope="others"), bare):
        key = "moved" if place is bare else "secret"
        assert await place.create(stored._replace(scope=place.scope, key=key))
        with pytest.raises(StorageUnavailable, match="does not authenticate"):
            await with_keys(place, OLD).get(key)


async def test_reading_without_the_key_fails_and_says_which(bare: RecordsHandle) -> None:
    await add_secret(with_keys(bare, OLD))
    await bare.add("open")
    stranger = with_keys(bare, NEW)
    for read in (stranger.get("secret"), stranger.page()):
        with pytest.raises(StorageUnavailable, match="'k1' is configured"):
            await read
    assert await stranger.get("open")
    assert await stranger.delete("secret")
    assert await stranger.listed() == ["open"]


async def test_what_cannot_be_decrypted_hides_nothing_that_is_due(
    bare: RecordsHandle, caplog: pytest.LogCaptureFixture
) -> None:
    owner, stranger = with_keys(bare, OLD), with_keys(bare, NEW)
    for number in range(12):
        await add_secret(owner, f"{number:02}", due_ms=bare.now_ms - 1000)
    await add_secret(stranger, "mine", due_ms=bare.now_ms)
    (taken,) = await stranger.take(4)
    assert (taken.record.key, taken.record.document) == ("mine", SECRET)
    assert caplog.text.count("'k1' is configured") == 12
    assert "dawn" not in caplog.text
    assert await stranger.take(4) == []


async def test_what_cannot_be_decrypted_is_taken_by_who_can_when_the_lease_ends(
    bare: RecordsHandle,
) -> None:
    owner, stranger = with_keys(bare, OLD), with_keys(bare, NEW)
    made = await add_secret(owner, due_ms=bare.now_ms)
    assert await stranger.take() == []
    assert await owner.take_all() == []
    bare.clock.advance(s=LEASE_S)
    (taken,) = await owner.take_all()
    assert taken.record.document == SECRET
    assert taken.record.version == made.version + 2


async def test_a_page_of_what_can_be_decrypted_is_taken_with_the_rest_left(
    bare: RecordsHandle,
) -> None:
    await add_secret(with_keys(bare, OLD), "theirs", due_ms=bare.now_ms - 1)
    stranger = with_keys(bare, NEW)
    for key in ("a", "b"):
        await stranger.add(key, due_ms=bare.now_ms)
    assert keys_of(await stranger.take(3)) == ["a", "b"]


async def test_wakeups_are_those_of_the_store(bare: RecordsHandle) -> None:
    bare.storage.wakeups = object()  # type: ignore[assignment]
    assert with_keys(bare, OLD).storage.wakeups is bare.storage.wakeups
