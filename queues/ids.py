"""Identifiers: their shape, their order and how they are parsed.

A message id is 22 hexadecimal digits: 14 for the sequence that the store gave the message
and 8 for a tag of (project, queue). The sequence makes look-ups direct and ids of one queue
sort in the order in which the store accepted them; the tag makes an id that strays into
another queue an unknown id instead of another queue's message. A marker is a message id.
"""

from __future__ import annotations

import re
import secrets
import zlib
from collections.abc import Iterable
from functools import lru_cache

_MESSAGE_ID = re.compile(r"[0-9a-f]{22}", re.ASCII)
_POSITION = re.compile(r"[0-9a-f]{36}", re.ASCII)
_SEQUENCE_BYTES = 7
_CLAIM_ID = re.compile(r"[0-9a-zA-Z_-]{1,64}", re.ASCII)


@lru_cache(maxsize=4096)
def queue_tag(project: str, queue: str) -> str:
    """Return the 8 hexadecimal digits that mark ids of this queue."""
    name = project.encode(errors="surrogatepass") + b"\0" + queue.encode()
    return f"{zlib.crc32(name):08x}"


def message_id(seq: int, tag: str) -> str:
    """Return the id of the message with sequence `seq` in the queue with `tag`."""
    # PERF: half of the time that formatting takes.
    return seq.to_bytes(_SEQUENCE_BYTES, "big").hex() + tag


def message_ids(seqs: Iterable[int], tag: str) -> list[str]:
    """Return the ids of many messages of one queue."""
    return [seq.to_bytes(_SEQUENCE_BYTES, "big").hex() + tag for seq in seqs]


def parse_message_id(text: str, tag: str) -> int | None:
    """Return the sequence in a message id, or None if `text` is no id of that queue."""
    if not _MESSAGE_ID.fullmatch(text) or text[14:] != tag:
        return None
    return int(text[:14], 16)


def position(seq: int, number: int, tag: str) -> str:
    """Return what clients see of a place in the queue with `tag`: opaque text to them."""
    return f"{seq:014x}{number:014x}{tag}"


def parse_position(text: str, tag: str) -> tuple[int, int] | None:
    """Return sequence and number of a position, or None if it is none of that queue."""
    if not _POSITION.fullmatch(text) or text[28:] != tag:
        return None
    return int(text[:14], 16), int(text[14:28], 16)


def new_claim_id(now_ms: int) -> str:
    """Return a new claim id: the time and 64 random bits in hexadecimal, safe in a URL.

    PERF: ids of about the same time are neighbours in an index. With random ones a claim of
    ten from SQLite took a seventh longer, and a quarter with 130,000 claimed messages.
    """
    return f"{now_ms:012x}{secrets.token_hex(8)}"


def is_claim_id(text: str) -> bool:
    """Say whether `text` could be a claim id at all."""
    return _CLAIM_ID.fullmatch(text) is not None


def new_version() -> int:
    """Return a new queue version: 52 random bits, so that no two states share one."""
    return secrets.randbits(52)


def first_sequence(created_ms: int) -> int:
    """Return the sequence below the first message of a queue created at `created_ms`.

    The second of creation, shifted by 20 bits: a queue that is deleted and created again
    continues above its former life unless it took more than a million messages a second
    all its life. Stays below 2**53 until the year 2242.
    """
    return (created_ms // 1000) << 20
