"""Where things are: collections, fields, and how names become keys.

`queues`: one document a queue, kept for `TOMBSTONE_MS` after deletion for its sequence::

    _id       escaped project, a space, escaped queue
    project, name, metadata, version, created, live
    life      new for every creation; idempotency keys hang on it
    bucket    where the messages are; a purge is a new bucket
    dropped   former buckets whose messages the sweep still has to remove
    leftover  True while there are any
    seq       the last sequence given out
    open      reservations of writers in flight: token -> {low, n, at, repeated},
              see sequence.py
    gone      tombstones only: when the sweep may remove them

and one for each topic that was told lately, see wakeups.py::

    _id       escaped project, kind, escaped name, with spaces between
    told      new whenever it is told
    gone      as above, or FRESH: the sweep decides when

`messages`: one document a message::

    _id       bucket and sequence in 14 hexadecimal digits, so that _id order is queue order
    b, seq    the same two, for indexes and for the shard key (b)
    visible   0 ready; a time: delayed or leased until then; HIDDEN and above: see below
    expires, posted, ttl, body, media, client (escaped), origin (of a dead letter)
    size      of the body, so that usage is counted along an index
    claim     of the lease, which may have ended; empty without one
    count, lease, leased
    stage     STAGED only: what decides whether the message will be seen, see staging.py
    move, to, no   MOVING only, see dead_letters.py

`answers`: one document an idempotency key, see idempotency.py.

`credentials`: one document a credential until it expires, revoked or not, and one more::

    _id       escaped project, a space, escaped id
    project, id, kind, document, created, expires
    uses      how many are left; null for any number
    live      until a revocation has ended it
    named     from the beginning of a revocation on
    _id, version   REVOCATIONS and the version of them all, see credentials.py

`quotas`: one document a project that has limits: `_id`, the escaped project, and `document`.

`token_buckets`: one document a bucket that is not full, see token_buckets.py.

`records`: one document a record, see records.py::

    _id       escaped project, kind, escaped scope, escaped key, with spaces between
    document, version
    due       when it wants to be taken; null for never
    expires   NEVER for never
    taker     new whenever it is taken, so that whoever took it can tell
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from pymongo.read_concern import ReadConcern

from queues.model import RecordKind, TopicKind

Document = dict[str, Any]
#: A collection of the asynchronous client; driver.py alone knows which client that is.
Collection = Any

_T = TypeVar("_T")

#: `visible` from here on marks documents that are no messages to anybody.
HIDDEN = 2**60
#: Inserted, but not yet decided to be part of the queue.
STAGED = HIDDEN
#: On its way to a dead-letter queue.
MOVING = HIDDEN + 1
#: No message at all: it keeps a late writer out of this sequence.
FENCE = HIDDEN + 2
#: `expires` of what must not expire.
NEVER = 2**60
#: Before every time.
BEFORE_ALL = -1
#: `gone` of what was told and has not been met by a sweep since.
FRESH = 1

#: `_id` of the version of all revocations; those of credentials have a space in them.
REVOCATIONS = "revocations"

#: How long a deleted queue's sequence and a fence are remembered.
TOMBSTONE_MS = 86_400_000

#: A process remembers the buckets and sequences of this many queues.
REMEMBERED_QUEUES = 10_000

_ESCAPED = re.compile(r"[!~]([0-9a-f]{2})|(.)", re.DOTALL)


def _ignored(_: str) -> None:
    """Nobody is there yet to hear of a queue."""


@dataclass
class Database:
    """The collections, filled in when the driver is opened, and what a process remembers.

    Reads see what a majority has. `causal` opens a session in which a read sees at least
    what an earlier one saw, also when the primary changes in between; on a standalone
    server it is None. `seqs`, `buckets` and `full_pages` are hints from earlier calls; what
    they say is never trusted without a condition in the store.

    `told` is `queues` for marks that need not be durable. `streams` says whether there are
    change streams, as far as is known. Who changes a queue calls `hint` with its `_id` when
    other processes see that in its document, else `tell`.
    """

    timeout_ms: int
    queues: Collection = None
    messages: Collection = None
    answers: Collection = None
    credentials: Collection = None
    quotas: Collection = None
    token_buckets: Collection = None
    records: Collection = None
    told: Collection = None
    streams: bool = False
    causal: Callable[[], AbstractAsyncContextManager[Any]] = nullcontext
    sharded: bool = False
    seqs: dict[str, int] = field(default_factory=dict)
    buckets: dict[str, str] = field(default_factory=dict)
    full_pages: dict[str, bool] = field(default_factory=dict)
    hint: Callable[[str], None] = _ignored
    tell: Callable[[str], None] = _ignored

    @staticmethod
    def latest(collection: Collection) -> Collection:
        """Return the collection for reads that say who has lost a race, or may join it.

        The first must not see less than the update before them did, as a majority read on a
        new primary may; the others are confirmed by an update.
        """
        return collection.with_options(read_concern=ReadConcern("local"))

    def remember(self, queue_id: str, *, bucket: str, seq: int) -> None:
        """Note the bucket and the last sequence of a queue, forgetting the oldest note."""
        _note(self.buckets, queue_id, bucket)
        _note(self.seqs, queue_id, seq)

    def remember_page(self, queue_id: str, *, full: bool) -> None:
        """Note whether the last page of a queue's messages was full."""
        _note(self.full_pages, queue_id, full)


def _note(notes: dict[str, _T], queue_id: str, value: _T) -> None:
    notes.pop(queue_id, None)
    notes[queue_id] = value
    if len(notes) > REMEMBERED_QUEUES:
        del notes[next(iter(notes))]


@lru_cache(maxsize=REMEMBERED_QUEUES)
def escape(text: str) -> str:
    """Return `text` in printable ASCII without a space, injective and keeping the order.

    Order is that of code points, which is that of UTF-8 bytes. Low bytes become `!xx`, high
    ones `~xx`; `!` and `~` are escaped themselves and are the first and the last of the
    characters in use.
    """
    return "".join(map(_escape_byte, text.encode("utf-8", "surrogatepass")))


def _escape_byte(byte: int) -> str:
    if byte <= ord("!"):
        return f"!{byte:02x}"
    return f"~{byte:02x}" if byte >= ord("~") else chr(byte)


def unescape(escaped: str) -> str:
    """Return the text that `escape` was given."""
    data = b"".join(
        bytes.fromhex(code) if code else char.encode("ascii")
        for code, char in _ESCAPED.findall(escaped)
    )
    return data.decode("utf-8", "surrogatepass")


def scoped_id(project: str, name: str) -> str:
    """Return the `_id` of what has a name in a project; no two pairs of names share one."""
    return f"{escape(project)} {escape(name)}"


def queue_id(project: str, queue: str) -> str:
    """Return the `_id` of the queue's document."""
    return scoped_id(project, queue)


def queue_names(queue_id: str) -> tuple[str, str]:
    """Return project and name of the queue whose document has this `_id`."""
    project, queue = queue_id.split(" ")
    return unescape(project), unescape(queue)


def told_id(project: str, kind: TopicKind, name: str) -> str:
    """Return the `_id` of a topic's document; those of queues have one space less."""
    return f"{escape(project)} {kind} {escape(name)}"


def record_id(project: str, kind: RecordKind, scope: str, key: str) -> str:
    """Return the `_id` of a record; ids of one kind and scope sort by key."""
    return f"{escape(project)} {kind} {escape(scope)} {escape(key)}"


def record_names(record_id: str) -> tuple[str, RecordKind, str, str]:
    """Return project, kind, scope and key of the record with this `_id`."""
    project, kind, scope, key = record_id.split(" ")
    return unescape(project), RecordKind(kind), unescape(scope), unescape(key)


def record_ids(base: str, *, prefix: str, marker: str) -> Document:
    """Return the condition for keys with a prefix, after a marker; `base` is without a key.

    DEL follows all the characters of escaped text.
    """
    first = base + escape(prefix)
    return {"$gt": base + escape(marker), "$gte": first, "$lt": first + "\x7f"}


def new_token() -> str:
    """Return a name for a bucket, a life or a reservation that nobody else has."""
    return secrets.token_hex(12)


def message_id(bucket: str, seq: int) -> str:
    """Return the `_id` of a message; ids of one bucket sort by sequence."""
    return f"{bucket}{seq:014x}"


def sequence_of(message_id: str) -> int:
    """Return the sequence in the `_id` of a message."""
    return int(message_id[-14:], 16)


def bucket_ids(bucket: str) -> Document:
    """Return the condition for all `_id` of a bucket; `g` follows the hexadecimal digits."""
    return {"$gt": bucket, "$lt": bucket + "g"}


def message_ids(bucket: str, seqs: Iterable[int]) -> list[str]:
    """Return the `_id` of each message."""
    return [message_id(bucket, seq) for seq in seqs]


def answer_id(life: str, key: str) -> str:
    """Return the `_id` of the record of an idempotency key in one life of a queue."""
    return f"{life} {escape(key)}"
