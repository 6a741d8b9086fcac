"""Message records: the bytes in the `messages` hash. `includes/record.lua` reads the same.

A record is, most significant byte first:

    expires_ms 8 | visible_ms 8 | ttl_s 4 | claim_count 4 | length of claim id 1
    lease_ms 8, claim id      only if there is a claim id
    media 1 | posted_ms 8 | client 16 | length of origin 2
    origin                    only if dead-lettered: seq 8, claim_count 4, moved_ms 8,
                              reason 1, name of the queue in UTF-8
    body                      the rest

PERF: 52 bytes and the body, where a map of names and values took 180; what a claim changes is
in front, so a script copies the rest as it is. Of the client's id only its equality is ever
asked, so a UUID is kept as its 16 bytes and any other text as a digest of that length.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from uuid import UUID

from queues.model import DeadLetter, DeadLetterReason, Media, Message, NewMessage
from storage_drivers.redis.layout import decode, encode

#: Header and tail of a record without a claim id; the tail of one that has.
_RECORD = Struct(">QQIIBBQ16sH")
_TAIL = Struct(">BQ16sH")
_LEASE = Struct(">Q")
_HEADER_BYTES = _RECORD.size - _TAIL.size
_ORIGIN = Struct(">QIQB")
_REASONS = (DeadLetterReason.MAX_CLAIM_COUNT,)
_MEDIA = tuple(Media)
_new = tuple.__new__


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
    ttl_s, delay_ms = message.ttl_s, message.delay_ms
    visible_ms = now_ms + delay_ms if delay_ms else 0
    return (
        _RECORD.pack(
            now_ms + ttl_s * 1000, visible_ms, ttl_s, 0, 0,
            message.media, now_ms, client_bytes(message.client_id), 0,
        )
        + message.body
    )  # fmt: skip


def unpack(seq: int, record: bytes, now_ms: int) -> Message:
    """Return the message as it stands at `now_ms`."""
    expires, visible, ttl, count, claim_len, media, posted, _, origin_len = _RECORD.unpack_from(
        record
    )
    at = _RECORD.size
    claim_id, dead_letter = None, None
    if claim_len:
        at += _LEASE.size + claim_len
        media, posted, _, origin_len = _TAIL.unpack_from(record, at - _TAIL.size)
        if visible > now_ms:
            claim_id = _claim_id(record[at - _TAIL.size - claim_len : at - _TAIL.size])
    if origin_len:
        dead_letter = _unpack_origin(record[at : at + origin_len])
        at += origin_len
    # PERF: half the time of Message(...), which checks what is right here.
    return _new(Message, (
        seq, posted, ttl, expires, record[at:], _MEDIA[media],
        claim_id, count, visible if visible > now_ms else 0, dead_letter,
        seq, False,
    ))  # fmt: skip


@lru_cache(maxsize=1000)
def _claim_id(stored: bytes) -> str:
    # PERF: all messages of a claim have the same.
    return decode(stored)


def _unpack_origin(origin: bytes) -> DeadLetter:
    seq, claim_count, moved_ms, reason = _ORIGIN.unpack_from(origin)
    queue = decode(origin[_ORIGIN.size :])
    return DeadLetter(queue, seq, _REASONS[reason], claim_count, moved_ms)


def unpack_all(answer: Sequence[bytes], now_ms: int) -> list[Message]:
    """Return the messages in a script's answer: member, record, member, record, ..."""
    to_seq = int.from_bytes
    return [
        unpack(to_seq(answer[at], "big"), answer[at + 1], now_ms)
        for at in range(0, len(answer), 2)
    ]


def lease_ms_of(record: bytes) -> int:
    """Return the length of the lease in the record of a claimed message."""
    length: int = _LEASE.unpack_from(record, _HEADER_BYTES)[0]
    return length
