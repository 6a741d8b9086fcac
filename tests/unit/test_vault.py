"""Keys of projects: derived, rotated, taken away."""

from __future__ import annotations

import secrets

import pytest

from queues.errors import StorageUnavailable
from queues.model import Media, Message
from storage_drivers.sealed.vault import Vault
from tests.factories import idempotency, new_message

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
BODY = b'{"card": "4111 1111 1111 1111"}'


def stored(vault: Vault, *, project: str = "p1", media: Media = Media.JSON) -> Message:
    """Return a message as it stands in the store after a sealed post."""
    sealed = vault.seal(project, new_message(BODY, media=media)._replace(seal=True))
    return Message(1, 0, 60, 60_000, sealed.body, sealed.media, None, 0, 0, None, 1)


@pytest.mark.parametrize("media", [Media.JSON, Media.MSGPACK])
def test_body_and_encoding_come_back(media: Media) -> None:
    vault = Vault({"k1": OLD})
    message = stored(vault, media=media)
    assert message.media is Media.SEALED
    assert BODY not in message.body
    back = vault.open("p1", "q", message)
    assert (back.body, back.media) == (BODY, media)


def test_what_does_not_ask_for_it_stays_as_it_is() -> None:
    message = new_message(BODY)
    assert Vault({"k1": OLD}).seal("p1", message) is message


@pytest.mark.parametrize("project", ["p2", "", "p1\0", "P1", "\ud800"])
def test_another_project_cannot_open_it(project: str) -> None:
    vault = Vault({"k1": OLD})
    with pytest.raises(StorageUnavailable, match="does not authenticate"):
        vault.open(project, "q", stored(vault))
    mine = stored(vault, project=project)
    assert vault.open(project, "q", mine).body == BODY


def test_it_opens_in_another_queue_of_the_project_as_a_dead_letter_must() -> None:
    vault = Vault({"k1": OLD})
    assert vault.open("p1", "dead", stored(vault)).body == BODY


def test_after_a_rotation_the_first_key_seals_and_both_open() -> None:
    before, after = Vault({"k1": OLD}), Vault({"k2": NEW, "k1": OLD})
    assert after.open("p1", "q", stored(before)).body == BODY
    assert stored(after).body[2:4] == b"k2"
    assert after.open("p1", "q", stored(after)).body == BODY


def test_without_its_key_the_error_names_message_and_key_and_nothing_of_the_body() -> None:
    message = stored(Vault({"k1": OLD}))
    with pytest.raises(StorageUnavailable) as refused:
        Vault({"k2": NEW}).open("p1", "orders", message)
    text = str(refused.value)
    assert "'k1'" in text
    assert "00000000000001" in text
    assert "orders" in text
    assert "card" not in text


def test_an_encoding_of_a_later_version_is_no_guess() -> None:
    vault = Vault({"k1": OLD})
    later = new_message(BODY)._replace(media=7, seal=True)  # type: ignore[arg-type]
    sealed = vault.seal("p1", later)
    message = stored(vault)._replace(body=sealed.body)
    with pytest.raises(StorageUnavailable, match="does not know"):
        vault.open("p1", "q", message)


def test_a_fingerprint_differs_by_project_queue_key_and_request() -> None:
    vault, given = Vault({"k1": OLD}), idempotency()
    other_key, other_request = idempotency("key-2"), idempotency(request="other")
    made = [
        vault.fingerprint("p1", "q", given),
        vault.fingerprint("p2", "q", given),
        vault.fingerprint("p1", "r", given),
        vault.fingerprint("p1", "q", other_key),
        vault.fingerprint("p1", "q", other_request),
        Vault({"k1": NEW}).fingerprint("p1", "q", given),
    ]
    assert len({made_of.fingerprint for made_of in made}) == len(made)
    assert all(len(made_of.fingerprint) == 32 for made_of in made)
    assert (made[0].key, made[0].window_ms) == (given.key, given.window_ms)


def test_a_fingerprint_survives_a_rotation_until_the_oldest_key_goes() -> None:
    given = idempotency()
    before = Vault({"k1": OLD}).fingerprint("p1", "q", given)
    assert Vault({"k2": NEW, "k1": OLD}).fingerprint("p1", "q", given) == before
    assert Vault({"k2": NEW}).fingerprint("p1", "q", given) != before


def test_a_vault_shows_no_key() -> None:
    vault = Vault({"k1": OLD})
    assert repr(OLD) not in repr(vault)
    assert repr(OLD) not in repr(vault.__dict__["_derived"])
