"""Message records: the bytes in the `messages` hash. `includes/record.lua` reads the same.

A record is, most significant byte first:

    media 1 | posted_ms 8 | expires_ms 8 | visible_ms 8 | ttl_s 4 | claim_count 4
    client 16 | length of claim id 1 | length of origin 2
    lease_ms 8, claim id      only if there is a claim id
    origin                    only if dead-lettered: seq 8, claim_count 4, moved_ms 8,
                              reason 1, name of the queue in UTF-8
    body                      the rest

PERF: 52 bytes and the body, where a map of names and values took 180. Of the client's id
only its equality is ever asked, so a UUID is kept as its 16 bytes and any other text as a
digest of that length.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from uuid import UUID

from queues.model import DeadLetter, DeadLetterReason, Media, Message, NewMessage
from storage_drivers.redis.layout import SEQUENCE_BYTES, decode, encode

_HEADER = Struct(">BQQQII16sBH")
_LEASE = Struct(">Q")
_ORIGIN = Struct(">QIQB")
_PREFIX_BYTES = SEQUENCE_BYTES + 4
_REASONS = (DeadLetterReason.MAX_CLAIM_COUNT,)
_MEDIA = tuple(Media)


@lru_cache(maxsize=10_000)
def client_bytes(client_id: str) -> bytes:
    """Return 16 bytes that stand for a client id."""
    try:
        uuid = UUID(client_id)
    except ValueError:
        uuid = None
    if uuid is not None and str(uuid) == client_id:
        return uuid.bytes
    return blake2b(encode(client_id), digest_size=16).digest()


def pack(message: NewMessage, now_ms: int) -> bytes:
    """Return the record of a message that is posted at `now_ms`."""
    return (
        _HEADER.pack(
            message.media,
            now_ms,
            now_ms + message.ttl_s * 1000,
            now_ms + message.delay_ms if message.delay_ms else 0,
            message.ttl_s,
            0,
            client_bytes(message.client_id),
            0,
            0,
        )
        + message.body
    )


def unpack(seq: int, record: bytes, now_ms: int) -> Message:
    """Return the message as it stands at `now_ms`."""
    media, posted, expires, visible, ttl, count, _, claim_len, origin_len = _HEADER.unpack_from(
        record
    )
    at = _HEADER.size
    claim_id, dead_letter = None, None
    if claim_len:
        at += _LEASE.size
        claim_id = decode(record[at : at + claim_len])
        at += claim_len
    if origin_len:
        dead_letter = _unpack_origin(record[at : at + origin_len])
        at += origin_len
    if visible <= now_ms:
        claim_id, visible = None, 0
    return Message(
        seq, posted, ttl, expires, record[at:], _MEDIA[media],
        claim_id, count, visible, dead_letter,
    )  # fmt: skip


def _unpack_origin(origin: bytes) -> DeadLetter:
    seq, claim_count, moved_ms, reason = _ORIGIN.unpack_from(origin)
    queue = decode(origin[_ORIGIN.size :])
    return DeadLetter(queue, seq, _REASONS[reason], claim_count, moved_ms)


def unpack_all(packed: bytes, now_ms: int) -> list[Message]:
    """Return the messages in a script's answer; see `includes/answers.lua`."""
    messages, at = [], 0
    while at < len(packed):
        start = at + _PREFIX_BYTES
        seq = int.from_bytes(packed[at : at + SEQUENCE_BYTES], "big")
        at = start + int.from_bytes(packed[at + SEQUENCE_BYTES : start], "big")
        messages.append(unpack(seq, packed[start:at], now_ms))
    return messages


def first_lease_ms(packed: bytes) -> int:
    """Return the length of the lease of the first message, which is claimed."""
    length: int = _LEASE.unpack_from(packed, _PREFIX_BYTES + _HEADER.size)[0]
    return length
