"""Encryption in front of a SQLite file: what the file holds, and what happens without a key."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from queues.errors import IdempotencyKeyReused, StorageUnavailable
from queues.model import Claim, Media, Message, NewMessage
from storage_drivers import open_storage, seal_storage
from storage_drivers.sealed import SealedStorage
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle, seqs_of
from tests.drivers.sqlite_storage import opened
from tests.factories import idempotency, new_message, new_messages

OLD, NEW = {"k1": secrets.token_bytes(32)}, {"k2": secrets.token_bytes(32)}
SECRET = b'"attack at dawn"'
HOLD_S = 30


def secret(body: bytes = SECRET) -> NewMessage:
    return new_message(body)._replace(seal=True)


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.fixture
async def bare(tmp_path: Path, clock: MovableClock) -> AsyncIterator[QueueHandle]:
    """The queue `orders` in the file, without encryption."""
    async with opened(tmp_path / "nusku.db") as driver:
        handle = QueueHandle(driver, clock)
        await handle.create()
        yield handle


def with_keys(bare: QueueHandle, keys: Mapping[str, bytes]) -> QueueHandle:
    return bare.on(storage=SealedStorage(bare.storage, keys))


async def test_neither_the_file_nor_its_log_holds_the_body(
    bare: QueueHandle, tmp_path: Path
) -> None:
    orders, padding = with_keys(bare, OLD), b'"%s"' % (b"at dawn " * 1000)
    await orders.post(secret(), secret(padding), new_message('"all may know"'))
    await orders.post(secret(), idempotency=idempotency(request=SECRET.decode()))
    await orders.claim_some(1)
    files = everything_in(tmp_path)
    assert b"all may know" in files
    assert b"dawn" not in files
    plain = idempotency(request=SECRET.decode()).fingerprint
    assert plain.encode() not in files
    assert bytes.fromhex(plain) not in files


async def test_stored_is_what_is_called_sealed_and_returned_what_was_posted(
    bare: QueueHandle,
) -> None:
    orders = with_keys(bare, OLD)
    seq, open_seq = await orders.post(secret(), new_message("1"))
    assert [m.media for m in await bare.get(seq, open_seq)] == [Media.SEALED, Media.JSON]
    assert [m.body for m in await orders.get(seq, open_seq)] == [SECRET, b"1"]


async def test_a_repeat_is_recognised_across_a_rotation(bare: QueueHandle) -> None:
    first = await with_keys(bare, OLD).post(secret(), idempotency=idempotency())
    rotated = with_keys(bare, {**NEW, **OLD})
    assert await rotated.post(secret(), idempotency=idempotency()) == first
    with pytest.raises(IdempotencyKeyReused):
        await rotated.post(secret(), idempotency=idempotency(request="other"))


async def test_reading_without_the_key_fails_and_says_which(bare: QueueHandle) -> None:
    (seq,) = await with_keys(bare, OLD).post(secret())
    stranger = with_keys(bare, NEW)
    for read in (stranger.page(), stranger.get(seq)):
        with pytest.raises(StorageUnavailable, match="'k1' is configured"):
            await read
    assert (await with_keys(bare, {**NEW, **OLD}).get_one(seq)).body == SECRET


async def test_stats_and_deletes_need_no_key(bare: QueueHandle) -> None:
    (seq,) = await with_keys(bare, OLD).post(secret())
    stranger = with_keys(bare, NEW)
    stats = await stranger.stats()
    assert stats.total == 1
    assert stats.oldest is not None
    assert stats.oldest.media is Media.SEALED
    assert (await with_keys(bare, OLD).stats()).oldest == await with_keys(bare, OLD).get_one(
        seq
    )
    assert await stranger.delete(seq) == {}
    assert await bare.get(seq) == []


async def test_a_pop_removes_nothing_that_it_cannot_read(bare: QueueHandle) -> None:
    sealed = await with_keys(bare, OLD).post(secret(), secret())
    stranger = with_keys(bare, NEW)
    with pytest.raises(StorageUnavailable, match="'k1'"):
        await stranger.pop(10)
    assert seqs_of(await bare.get(*sealed)) == sealed
    assert await stranger.pop(10) == []
    bare.clock.advance(s=HOLD_S)
    assert await with_keys(bare, OLD).pop(10) == sealed
    assert await bare.everything() == []


async def test_a_pop_returns_what_it_can_read_and_keeps_the_rest(
    bare: QueueHandle, caplog: pytest.LogCaptureFixture
) -> None:
    (sealed,) = await with_keys(bare, OLD).post(secret())
    readable = await with_keys(bare, NEW).post(secret(), new_message("1"))
    assert await with_keys(bare, NEW).pop(10) == readable
    assert "'k1'" in caplog.text
    assert "dawn" not in caplog.text
    assert seqs_of(await bare.everything()) == [sealed]


async def test_a_pop_of_plain_messages_is_one_step(
    bare: QueueHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders, calls = with_keys(bare, OLD), []
    seqs = await orders.post(*new_messages(3), secret())
    pop = bare.storage.messages.pop

    async def counted(*names: str, **asked: Any) -> Sequence[Message]:
        calls.append(asked)
        return await pop(*names, **asked)

    monkeypatch.setattr(bare.storage.messages, "pop", counted)
    monkeypatch.setattr(bare.storage, "claims", None)
    assert await orders.pop(3) == seqs[:3]
    assert len(calls) == 1


async def test_a_pop_takes_plain_and_sealed_messages_in_their_order(bare: QueueHandle) -> None:
    orders = with_keys(bare, OLD)
    plain, sealed = new_message("1"), secret()
    seqs = await orders.post(plain, plain, sealed, plain, sealed, plain, sealed, plain)
    popped = await orders.pop_messages(5)
    assert seqs_of(popped) == seqs[:5]
    assert [m.body for m in popped] == [b"1", b"1", SECRET, b"1", SECRET]
    assert {(m.claim_id, m.claim_count, m.visible_ms) for m in popped} == {(None, 0, 0)}
    assert await orders.pop(10) == seqs[5:]
    assert await orders.pop(10) == []


async def test_concurrent_pops_of_plain_and_sealed_messages_share_none(
    bare: QueueHandle,
) -> None:
    orders = with_keys(bare, OLD)
    plain, sealed = new_message("1"), secret()
    seqs = await orders.post(*[plain, sealed, sealed, plain, plain] * 12)
    popped = await asyncio.gather(*(orders.pop(7) for _ in range(20)))
    assert Counter(chain.from_iterable(popped)) == Counter(seqs)


async def test_what_was_popped_already_reaches_the_caller_when_the_rest_cannot_be_read(
    bare: QueueHandle,
) -> None:
    (first,) = await bare.post(new_message("1"))
    (sealed,) = await with_keys(bare, OLD).post(secret())
    stranger = with_keys(bare, NEW)
    assert await stranger.pop(10) == [first]
    assert seqs_of(await bare.everything()) == [sealed]


@pytest.mark.parametrize("call", ["pop", "delete"])
async def test_what_was_popped_already_reaches_the_caller_when_the_store_fails(
    bare: QueueHandle,
    call: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    orders = with_keys(bare, OLD)
    (first, *_) = await orders.post(new_message("1"), secret())
    works, calls = getattr(bare.storage.messages, call), []

    async def failing(*names: str, **asked: Any) -> Any:
        calls.append(asked)
        if call == "delete" or len(calls) == 2:
            raise StorageUnavailable("gone")
        return await works(*names, **asked)

    monkeypatch.setattr(bare.storage.messages, call, failing)
    assert await orders.pop(10) == [first]
    assert "gone" in caplog.text


async def test_a_popped_message_stands_as_it_stood_before(bare: QueueHandle) -> None:
    orders = with_keys(bare, OLD)
    (seq,) = await orders.post(secret())
    expected = await orders.get_one(seq)
    popped = await orders.storage.messages.pop("alpha", "orders", limit=1, now_ms=orders.now_ms)
    assert list(popped) == [expected]


async def test_a_pop_that_cannot_remove_hands_nothing_out(
    bare: QueueHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = await with_keys(bare, OLD).post(secret())

    async def fail(*_: object, **__: object) -> None:
        raise StorageUnavailable("gone")

    with monkeypatch.context() as broken:
        broken.setattr(bare.storage.messages, "delete", fail)
        with pytest.raises(StorageUnavailable, match="gone"):
            await with_keys(bare, OLD).pop()
    bare.clock.advance(s=HOLD_S)
    assert await with_keys(bare, OLD).pop() == sealed


async def test_a_pop_that_took_longer_than_its_lease_hands_nothing_out_twice(
    bare: QueueHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed, others = await with_keys(bare, OLD).post(secret()), []
    claim = bare.storage.claims.claim

    async def late(*names: str, now_ms: int, **asked: Any) -> Claim | None:
        first = await claim(*names, now_ms=now_ms, **asked)
        again = {**asked, "claim_id": "other"}
        others.append(await claim(*names, now_ms=now_ms + HOLD_S * 1000, **again))
        return first

    monkeypatch.setattr(bare.storage.claims, "claim", late)
    assert await with_keys(bare, OLD).pop() == []
    assert [seqs_of(other.messages) for other in others] == [sealed]


async def test_a_claim_returns_what_it_can_read_and_loses_nothing(
    bare: QueueHandle, caplog: pytest.LogCaptureFixture
) -> None:
    (sealed,) = await with_keys(bare, OLD).post(secret())
    readable = await with_keys(bare, NEW).post(secret(), new_message("1"))
    claim = await with_keys(bare, NEW).claim(lease_s=600)
    assert claim is not None
    assert seqs_of(claim.messages) == readable
    assert "'k1'" in caplog.text
    again = await with_keys(bare, NEW).get_claim(claim.id)
    assert again is not None
    assert seqs_of(again.messages) == readable
    whole = await with_keys(bare, {**NEW, **OLD}).get_claim(claim.id)
    assert whole is not None
    assert seqs_of(whole.messages) == [sealed, *readable]


async def test_a_claim_of_unreadable_messages_only_holds_them_for_a_short_time(
    bare: QueueHandle,
) -> None:
    sealed = await with_keys(bare, OLD).post(secret())
    (behind,) = await with_keys(bare, NEW).post(secret())
    stranger, owner = with_keys(bare, NEW), with_keys(bare, OLD)
    with pytest.raises(StorageUnavailable, match="'k1'"):
        await stranger.claim(limit=1, lease_s=43_200)
    claim = await stranger.claim(limit=1, lease_s=60)
    assert claim is not None
    assert seqs_of(claim.messages) == [behind]
    bare.clock.advance(s=HOLD_S)
    claim = await owner.claim(limit=1)
    assert claim is not None
    assert seqs_of(claim.messages) == sealed


async def test_without_keys_nothing_stands_in_front_of_the_driver(tmp_path: Path) -> None:
    driver = open_storage(f"sqlite:///{tmp_path / 'nusku.db'}", timeout_ms=1000)
    assert seal_storage(driver, {}) is driver
    assert not driver.capabilities.encrypts
    assert seal_storage(driver, OLD).capabilities.encrypts


async def test_credentials_and_quotas_are_those_of_the_store(bare: QueueHandle) -> None:
    bare.storage.quotas = object()  # type: ignore[assignment]
    assert with_keys(bare, OLD).storage.quotas is bare.storage.quotas
