"""The nouns: stored numbers and names never change, and objects are not changed in place."""

from __future__ import annotations

import pytest

from queues.model import CredentialKind, DeadLetterReason, Health, Media, Queue, Refusal, Stats
from tests.factories import dead_letters, idempotency, new_message, new_messages


def test_stored_numbers_of_media_never_change() -> None:
    numbers = {"JSON": 0, "MSGPACK": 1, "SEALED": 2}
    assert {media.name: media.value for media in Media} == numbers


def test_stored_names_never_change() -> None:
    assert [str(reason) for reason in DeadLetterReason] == ["max_claim_count"]
    assert [str(refusal) for refusal in Refusal] == ["claimed", "not_claimed"]
    assert [str(kind) for kind in CredentialKind] == ["token", "share"]


@pytest.mark.parametrize(
    ("noun", "field"),
    [
        (Queue("q", b"{}", 1, 0), "version"),
        (Stats(0, 0, None, None), "total"),
        (Health("fsync"), "durability"),
        (new_message(), "body"),
        (dead_letters(), "queue"),
        (idempotency(), "key"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nouns_cannot_be_changed(noun: object, field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(noun, field, None)


def test_a_healthy_store_has_no_warnings() -> None:
    assert list(Health("fsync").warnings) == []


def test_factories_wear_their_units() -> None:
    message = new_message("é", ttl_s=5, delay_s=1.5)
    assert (message.body, message.ttl_s, message.delay_ms) == ("é".encode(), 5, 1500)
    assert [m.body for m in new_messages(3, ttl_s=9)] == [b"0", b"1", b"2"]
    assert idempotency(window_s=2).window_ms == 2000
    assert idempotency("k", "a").fingerprint != idempotency("k", "b").fingerprint
