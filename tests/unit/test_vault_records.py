"""Encrypted documents of records: bound to their place, known without keys."""

from __future__ import annotations

import secrets

import pytest

from queues.errors import StorageUnavailable
from queues.model import Record, RecordKind
from queues.records import SEALED, legible
from storage_drivers.sealed.vault import Vault
from tests.factories import new_message

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
DOCUMENT = b'{"url":"https://user:s3cr3t@example.org/"}'
SECRET = Record(RecordKind.SUBSCRIPTION, "orders", "id-1", DOCUMENT, 7, 5, 9, seal=True)


@pytest.mark.parametrize("document", [DOCUMENT, b"", SEALED, SEALED * 2, bytes(range(256))])
def test_the_record_comes_back_as_it_was(document: bytes) -> None:
    vault, record = Vault({"k1": OLD}), SECRET._replace(document=document)
    stored = vault.seal_record("p1", record)
    assert stored.document.startswith(SEALED)
    assert stored._replace(document=document) == record
    # NOTE: drivers keep no mark of their own.
    assert vault.open_record("p1", stored._replace(seal=False)) == record


def test_what_does_not_ask_for_it_stays_as_it_is() -> None:
    vault, record = Vault({"k1": OLD}), SECRET._replace(seal=False)
    assert vault.seal_record("p1", record) is record
    assert vault.open_record("p1", record) is record
    assert legible(record) == DOCUMENT


def test_no_two_stored_documents_are_alike_and_none_shows_the_text() -> None:
    vault = Vault({"k1": OLD})
    stored = [vault.seal_record("p1", SECRET).document for _ in range(20)]
    assert len(set(stored)) == 20
    assert not any(b"s3cr3t" in document for document in stored)


@pytest.mark.parametrize(
    "place",
    [
        {"project": "p2"},
        {"project": ""},
        {"kind": RecordKind.SIGNAL},
        {"kind": RecordKind.OUTBOX},
        {"scope": "order"},
        {"scope": ""},
        {"key": "id-2"},
        {"key": ""},
        {"scope": "orders', 'id-1", "key": ""},
        {"scope": "ordersid-1", "key": ""},
        {"key": "\ud800"},
    ],
    ids=ascii,
)
def test_it_opens_nowhere_else(place: dict[str, str]) -> None:
    vault = Vault({"k1": OLD})
    project = place.pop("project", "p1")
    elsewhere = SECRET._replace(**place)  # type: ignore[arg-type]
    moved = elsewhere._replace(document=vault.seal_record("p1", SECRET).document)
    with pytest.raises(StorageUnavailable, match="does not authenticate"):
        vault.open_record(project, moved)
    stored = vault.seal_record(project, elsewhere)
    assert vault.open_record(project, stored) == elsewhere


def test_an_outbox_opens_under_the_key_that_the_store_gave_it_and_in_no_other_queue() -> None:
    vault, given = Vault({"k1": OLD}), SECRET._replace(kind=RecordKind.OUTBOX, key="")
    stored = vault.seal_record("p1", given)._replace(key="00000000000001")
    opened = vault.open_record("p1", stored)
    assert opened.document == DOCUMENT
    assert vault.open_record("p1", vault.seal_record("p1", opened)) == opened
    with pytest.raises(StorageUnavailable, match="does not authenticate"):
        vault.open_record("p1", stored._replace(scope="others"))


def test_a_body_is_no_document_and_a_document_no_body() -> None:
    vault = Vault({"k1": OLD})
    body = vault.seal("p1", new_message(DOCUMENT)._replace(seal=True)).body
    with pytest.raises(StorageUnavailable):
        vault.open_record("p1", SECRET._replace(document=SEALED + body))


def test_after_a_rotation_the_first_key_seals_and_both_open() -> None:
    before, after = Vault({"k1": OLD}), Vault({"k2": NEW, "k1": OLD})
    assert after.open_record("p1", before.seal_record("p1", SECRET)) == SECRET
    assert after.seal_record("p1", SECRET).document[3:5] == b"k2"


@pytest.mark.parametrize("cut", [1, 2, 20, -1])
def test_a_damaged_document_is_refused(cut: int) -> None:
    vault = Vault({"k1": OLD})
    stored = vault.seal_record("p1", SECRET)
    with pytest.raises(StorageUnavailable):
        vault.open_record("p1", stored._replace(document=stored.document[:cut]))


def test_without_its_key_the_error_names_record_and_key_and_nothing_of_the_document() -> None:
    stored = Vault({"k1": OLD}).seal_record("p1", SECRET)
    with pytest.raises(StorageUnavailable) as refused:
        Vault({"k2": NEW}).open_record("p1", stored)
    for word in ("'k1'", "subscription", "'id-1'", "'orders'"):
        assert word in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_a_server_without_keys_takes_no_ciphertext_for_a_document() -> None:
    stored = Vault({"k1": OLD}).seal_record("p1", SECRET)
    with pytest.raises(StorageUnavailable, match="'id-1' in 'orders' is encrypted"):
        legible(stored)
