"""The sealed form of a body: bound to its key, and to every bit of itself."""

from __future__ import annotations

import secrets

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from storage_drivers.sealed import envelope
from storage_drivers.sealed.envelope import Unreadable

KEY = bytes(range(32))


def opened(sealed: bytes, key: bytes = KEY) -> bytes:
    return envelope.unseal(envelope.parse(sealed), key)


@given(st.binary())
def test_what_is_sealed_opens_to_the_same(plaintext: bytes) -> None:
    assert opened(envelope.seal("k1", KEY, plaintext)) == plaintext


def test_the_key_id_can_be_read_without_a_key() -> None:
    sealed = envelope.seal("2026-11", KEY, b"secret")
    assert envelope.parse(sealed).key_id == "2026-11"
    assert b"secret" not in sealed


def test_the_same_plaintext_is_never_sealed_to_the_same_bytes() -> None:
    sealed = [envelope.parse(envelope.seal("k1", KEY, b"secret")) for _ in range(100)]
    assert len({parts.salt for parts in sealed}) == 100
    assert len({parts.ciphertext for parts in sealed}) == 100
    assert {len(parts.salt) for parts in sealed} == {24}


def test_no_bit_can_be_changed() -> None:
    sealed = envelope.seal("k1", KEY, b'"secret"')
    for at in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[at // 8] ^= 1 << at % 8
        with pytest.raises(Unreadable):
            opened(bytes(damaged))


def test_nothing_can_be_cut_off_or_added() -> None:
    sealed = envelope.seal("k1", KEY, b'"secret"')
    for length in range(len(sealed)):
        with pytest.raises(Unreadable):
            opened(sealed[:length])
    with pytest.raises(Unreadable):
        opened(sealed + b"\0")


@given(st.binary())
def test_any_bytes_are_refused_in_the_same_way(junk: bytes) -> None:
    with pytest.raises(Unreadable):
        opened(b"\x01" + junk)
    if not junk.startswith(b"\x01"):
        with pytest.raises(Unreadable):
            opened(junk)


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(Unreadable, match="'k1' does not authenticate"):
        opened(envelope.seal("k1", KEY, b"secret"), secrets.token_bytes(32))


def test_a_forged_key_id_cannot_break_the_lines_of_a_log() -> None:
    sealed = b"\x01\x05\n\xff\x1b'x" + bytes(64)
    with pytest.raises(Unreadable) as refused:
        opened(sealed)
    assert str(refused.value).isprintable()


def test_the_key_of_a_message_is_that_of_rfc_5869() -> None:
    sealed = envelope.parse(envelope.seal("k1", KEY, b"secret"))
    expanded = HKDFExpand(SHA256(), 32, info=sealed.salt).derive(KEY)
    cipher = AESGCM(expanded)
    assert cipher.decrypt(bytes(12), sealed.ciphertext, sealed.header) == b"secret"
