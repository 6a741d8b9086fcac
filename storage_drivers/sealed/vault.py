"""Seals and opens bodies of messages and documents of records, under keys of projects.

The key of a project is HKDF-SHA256 (RFC 5869) of a master key with the project's name, so
what was sealed for one project opens for no other. A body is not bound to a queue: dead
letters move as stored bytes. A document is bound to its kind, scope and key.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from queues import ids
from queues.errors import StorageUnavailable
from queues.model import Idempotency, Media, Message, NewMessage, Record, RecordKind
from queues.records import SEALED
from storage_drivers.sealed import envelope
from storage_drivers.sealed.envelope import Unreadable

_KEY_BYTES = 32
_FINGERPRINT_BYTES = 16
_REMEMBERED = 4096
_SEALING = b"nusku message body 1\0"
_RECORDS = b"nusku record 1\0"
_FINGERPRINTS = b"nusku idempotency 1\0"


class Vault:
    """The master keys, and the keys of the projects that were worked with last.

    The first master key seals, all of them open.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Take master keys of 32 bytes by id, the current one first, at least one."""
        self._masters = dict(keys)
        self._current = next(iter(self._masters))
        self._oldest = next(reversed(self._masters))
        self._derived = lru_cache(_REMEMBERED)(self._derive)

    def seal(self, project: str, message: NewMessage) -> NewMessage:
        """Return the message as it is to be stored: encrypted if it asks for that."""
        if not message.seal:
            return message
        plaintext = bytes((message.media,)) + message.body
        key = self._derived(self._current, _SEALING, project)
        sealed = envelope.seal(self._current, key, plaintext)
        return message._replace(body=sealed, media=Media.SEALED)

    def open(self, project: str, queue: str, message: Message) -> Message:
        """Return the message as it was posted.

        Raises: StorageUnavailable naming the message and the key, for the log.
        """
        if message.media is not Media.SEALED:
            return message
        try:
            body, media = self._unseal_body(project, message.body)
        except Unreadable as ex:
            message_id = ids.message_id(message.seq, ids.queue_tag(project, queue))
            raise StorageUnavailable(
                f"message {message_id} of queue {queue} cannot be decrypted: {ex}"
            ) from ex
        return message._replace(body=body, media=media, sealed=True)

    def seal_record(self, project: str, record: Record) -> Record:
        """Return the record as it is to be stored: encrypted if it asks for that."""
        if not record.seal:
            return record
        key = self._derived(self._current, _RECORDS, project)
        sealed = envelope.seal(self._current, key, record.document, _place(record))
        return record._replace(document=SEALED + sealed)

    def open_record(self, project: str, record: Record) -> Record:
        """Return the record as it was given, with `seal` if it was encrypted.

        Raises: StorageUnavailable naming the record and the key, for the log.
        """
        if not record.document.startswith(SEALED):
            return record
        sealed = record.document.removeprefix(SEALED)
        try:
            document = self._unseal(project, _RECORDS, sealed, _place(record))
        except Unreadable as ex:
            raise StorageUnavailable(
                f"{record.kind} {record.key!r} in {record.scope!r} cannot be decrypted: {ex}"
            ) from ex
        return record._replace(document=document, seal=True)

    def fingerprint(self, project: str, queue: str, given: Idempotency) -> Idempotency:
        """Return the key of a post with a fingerprint that tells nothing about the bodies.

        The plain fingerprint is a digest of the request: who reads the store could try
        bodies until one fits. An HMAC under a secret key ends that, and one over queue and
        idempotency key, too, hides that two requests had the same bodies. The secret comes
        from the *last* master key: a new one is put in front, so a request that is repeated
        across a rotation is still recognised. Taking the last one out ends that.
        """
        key = self._derived(self._oldest, _FINGERPRINTS, project)
        words = repr((queue, given.key, given.fingerprint)).encode()
        digest = hmac.digest(key, words, "sha256")
        return given._replace(fingerprint=digest[:_FINGERPRINT_BYTES].hex())

    def _unseal(
        self, project: str, purpose: bytes, sealed: bytes, context: bytes = b""
    ) -> bytes:
        parts = envelope.parse(sealed)
        if parts.key_id not in self._masters:
            raise Unreadable(f"no key {parts.key_id!r} is configured")
        return envelope.unseal(parts, self._derived(parts.key_id, purpose, project), context)

    def _unseal_body(self, project: str, sealed: bytes) -> tuple[bytes, Media]:
        plaintext = self._unseal(project, _SEALING, sealed)
        if plaintext[0] not in (Media.JSON, Media.MSGPACK):
            raise Unreadable("it holds an encoding that this version does not know")
        return plaintext[1:], Media(plaintext[0])

    def _derive(self, key_id: str, purpose: bytes, project: str) -> bytes:
        info = purpose + project.encode("utf-8", "surrogatepass")
        return HKDF(SHA256(), _KEY_BYTES, salt=None, info=info).derive(self._masters[key_id])


def _place(record: Record) -> bytes:
    """Return what a document is bound to, besides its project.

    An outbox is sealed before the store makes its key, so it is bound to its queue only.
    """
    key = "" if record.kind is RecordKind.OUTBOX else record.key
    return ascii((str(record.kind), record.scope, key)).encode()
