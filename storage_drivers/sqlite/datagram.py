"""What processes on one file tell one another: numbers of news, and what they are about."""

from __future__ import annotations

import struct
from collections.abc import Collection
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from queues.model import Topic
from storage_drivers.sqlite.codec import pack_name

#: One holds this many numbers and topics at most.
MOST = 4096

_WORD = 8


def wake_directory(database: Path) -> Path:
    """Return the directory with the sockets of all processes that listen."""
    return database.with_name(f"{database.name}-wake")


@lru_cache(maxsize=4096)
def digest(topic: Topic) -> bytes:
    """Return what stands for a topic. Two that share one would be heard of together."""
    project, kind, name = topic
    head = f"{kind.value} {len(project)} "
    text = pack_name(head + project + name)
    return blake2b(text, digest_size=_WORD).digest()


def pack(numbers: Collection[int], topics: Collection[bytes]) -> bytes:
    """Return a datagram of numbers and of digests of topics."""
    head = struct.pack(f"<{1 + len(numbers)}Q", len(numbers), *numbers)
    return head + b"".join(topics)


def unpack(datagram: bytes) -> tuple[list[int], list[bytes]]:
    """Return what was packed; nothing of what was never packed here."""
    if len(datagram) < _WORD or len(datagram) % _WORD:
        return [], []
    (count,) = struct.unpack_from("<Q", datagram)
    words = [datagram[at : at + _WORD] for at in range(_WORD, len(datagram), _WORD)]
    numbers = [int.from_bytes(word, "little") for word in words[:count]]
    return numbers, words[count:]
