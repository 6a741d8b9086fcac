"""The sealed form of one message body or record: what is stored instead of it.

    version 1 | length of the key id 1 | key id | salt 24 | AES-256-GCM of the plaintext

(numbers are bytes; the ciphertext ends with its tag of 16). Everything in front of the
ciphertext is its associated data, so none of it can be exchanged; behind it goes the
context, which is not stored: the place that the ciphertext was made for.

Each message is encrypted under a key of its own, HKDF-Expand(project key, salt). NIST
SP 800-38D, section 8.3, allows 2^32 encryptions under one key with random nonces of 96
bits, which one project may well exceed in the life of a key. Here a key sees one message,
so the nonce is constant, and two messages share a key only if two random salts of 192 bits
are equal: 2^64 messages of a project meet that with a probability of 2^-65.
"""

from __future__ import annotations

import hmac
import os
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1

_SALT_BYTES = 24
_TAG_BYTES = 16
_NONCE = bytes(12)


class Unreadable(Exception):
    """The bytes are no envelope, or were not made under this key. The text says which."""


class Envelope(NamedTuple):
    """A sealed body taken apart. `header` is what the ciphertext is bound to."""

    key_id: str
    header: bytes
    salt: bytes
    ciphertext: bytes


def seal(key_id: str, project_key: bytes, plaintext: bytes, context: bytes = b"") -> bytes:
    """Return the envelope around `plaintext`; no two are alike."""
    salt = os.urandom(_SALT_BYTES)
    name = key_id.encode("ascii")
    header = bytes((VERSION, len(name))) + name + salt
    cipher = AESGCM(_message_key(project_key, salt))
    return header + cipher.encrypt(_NONCE, plaintext, header + context)


def parse(sealed: bytes) -> Envelope:
    """Take an envelope apart; nothing of it is authenticated yet.

    Raises: Unreadable.
    """
    if sealed[:1] != bytes((VERSION,)):
        raise Unreadable("it is not in a form that this version of the server knows")
    salt_at = 2 + (sealed[1] if len(sealed) > 1 else 0)
    body_at = salt_at + _SALT_BYTES
    if len(sealed) < body_at + _TAG_BYTES:
        raise Unreadable("it is cut short")
    # SECURITY: the id goes to the log, and whoever wrote the store chose these bytes.
    key_id = sealed[2:salt_at].decode("ascii", "backslashreplace")
    return Envelope(key_id, sealed[:body_at], sealed[salt_at:body_at], sealed[body_at:])


def unseal(envelope: Envelope, project_key: bytes, context: bytes = b"") -> bytes:
    """Return the plaintext.

    Raises: Unreadable when a bit of the envelope was changed, or another key made it, or it
    was made for another context.
    """
    cipher = AESGCM(_message_key(project_key, envelope.salt))
    try:
        return cipher.decrypt(_NONCE, envelope.ciphertext, envelope.header + context)
    except InvalidTag as ex:
        raise Unreadable(f"key {envelope.key_id!r} does not authenticate it") from ex


def _message_key(project_key: bytes, salt: bytes) -> bytes:
    """Return HKDF-Expand (RFC 5869) for 32 bytes, which is a single block of it.

    PERF: the same function of the package `cryptography` takes several times as long.
    """
    return hmac.digest(project_key, salt + b"\x01", "sha256")
