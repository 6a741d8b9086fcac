"""Rows to model objects and back. Names and ids are stored as bytes, as short as may be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from queues.model import DeadLetter, DeadLetterReason, Media, Message, NewMessage, Queue
from storage_drivers.sqlite.layout import DELAYED, INLINE_BODY_BYTES, NEVER_MS, READY

Row = tuple[Any, ...]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_HEX = re.compile(r"(?:[0-9a-f]{2})+", re.ASCII)
_MEDIA = tuple(Media)


def pack_name(name: str) -> bytes:
    """Return a name as UTF-8, whose order is that of code points; surrogates are kept."""
    return name.encode("utf-8", "surrogatepass")


def unpack_name(packed: bytes) -> str:
    """Return the name that `pack_name` packed."""
    return packed.decode("utf-8", "surrogatepass")


@lru_cache(maxsize=4096)
def pack_client_id(client_id: str) -> bytes:
    """Return 16 bytes for a canonical UUID, else the text, which is never 16 bytes long."""
    if _UUID.fullmatch(client_id):
        return bytes.fromhex(client_id.replace("-", ""))
    text = pack_name(client_id)
    return text + b"\xff" if len(text) == 16 else text


def pack_claim_id(claim_id: str) -> bytes:
    """Return a NUL and the bytes of a hexadecimal id, else the text."""
    if _HEX.fullmatch(claim_id):
        return b"\0" + bytes.fromhex(claim_id)
    return pack_name(claim_id)


def unpack_claim_id(packed: bytes) -> str:
    """Return the claim id that `pack_claim_id` packed."""
    return packed[1:].hex() if packed[:1] == b"\0" else unpack_name(packed)


def to_queue(row: Row) -> Queue:
    """Return the queue in a row of `queues.get` or `queues.list`."""
    name, metadata, version, created_ms = row
    return Queue(unpack_name(name), metadata, version, created_ms)


def to_message(row: Row, now_ms: int) -> Message:
    """Return the message in a row as it stands at `now_ms`."""
    seq, posted_ms, ttl_s, expires_ms, body, media, claim, count, visible_ms, dead, number = row
    claim_id = None
    if visible_ms is None or visible_ms <= now_ms:
        visible_ms = 0
    elif claim is not None:
        claim_id = unpack_claim_id(claim)
    return Message(
        seq,
        posted_ms,
        ttl_s,
        expires_ms,
        body,
        _MEDIA[media],
        claim_id,
        count,
        visible_ms,
        None if dead is None else unpack_dead_letter(dead),
        number,
    )


def to_leased(row: Row, claim_id: str, lease_end_ms: int, extended: tuple[int, int]) -> Message:
    """Return the ready message in a row as it is under a lease that is about to begin.

    `extended` are its `ttl_s` and `expires_ms` if it would expire before the lease ends.
    """
    seq, posted_ms, ttl_s, expires_ms, body, media, _, count, _, dead, number = row
    if expires_ms < lease_end_ms:
        ttl_s, expires_ms = extended
    return Message(
        seq,
        posted_ms,
        ttl_s,
        expires_ms,
        body,
        _MEDIA[media],
        claim_id,
        count + 1,
        lease_end_ms,
        None if dead is None else unpack_dead_letter(dead),
        number,
    )


def new_values(
    seqs: Iterable[int],
    numbers: Iterable[int],
    bucket_id: int,
    messages: Sequence[NewMessage],
    now_ms: int,
) -> tuple[list[Any], int]:
    """Return the values of rows for `messages.insert`, all in one list, and their due time.

    That is when the first of the messages comes due or expires.
    """
    values: list[Any] = []
    due_ms = NEVER_MS
    for seq, number, message in zip(seqs, numbers, messages, strict=True):
        body, media, ttl_s, delay_ms, client_id, _ = message
        state, visible_ms, expires_ms = READY, None, now_ms + ttl_s * 1000
        if delay_ms > 0:
            state, visible_ms = DELAYED, now_ms + delay_ms
            due_ms = min(due_ms, visible_ms)
        if expires_ms < due_ms:
            due_ms = expires_ms
        inline = body if len(body) <= INLINE_BODY_BYTES else None
        packed = pack_client_id(client_id)
        times = visible_ms, expires_ms, now_ms, ttl_s
        values += seq, bucket_id, state, *times, int(media), packed, inline, number
    return values, due_ms


def pack_dead_letter(origin: DeadLetter) -> str:
    """Return the origin of a dead letter as a JSON array."""
    return json.dumps(origin, separators=(",", ":"))


def unpack_dead_letter(text: str) -> DeadLetter:
    """Return the origin that `pack_dead_letter` wrote."""
    queue, seq, reason, claim_count, moved_ms = json.loads(text)
    return DeadLetter(queue, seq, DeadLetterReason(reason), claim_count, moved_ms)


def pack_sequences(seqs: Sequence[int]) -> str:
    """Return the answer of a post as a JSON array."""
    return json.dumps(list(seqs), separators=(",", ":"))


def unpack_sequences(text: str) -> Sequence[int]:
    """Return the sequences that `pack_sequences` wrote."""
    seqs: list[int] = json.loads(text)
    return seqs
