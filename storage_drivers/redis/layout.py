"""Where things are: the only place where names of keys are built.

All keys of a queue begin with `<namespace>:{<project>:<queue>}:`, where both names are
percent-quoted with nothing safe but letters, digits and `_.-~`. No name can therefore forge
another's key or hash tag, and a queue is one slot of a cluster. What belongs to a project is
under `{<project>::}`, the lists of the sweep under `{sweep::<shard>}`, those of scopes with
records under `{due::<shard>}` and `{ends::<shard>}`, what belongs to the store under
`{ledger::<noun>}`, the mark of the layout under `{layout::mark}`: a quoted name holds no
colon, so these are no queue's. A sequence in a hash is seven bytes, most significant first; a
page is 64 neighbouring sequences, see `scripts/includes/pages.lua`.

Of a queue:

    meta         hash    metadata, version, created_ms; incarnation (the sequence it began
                         at), token (names this life in the project's index)
    seq          string  last sequence given out; outlives the queue for a day
    messages     hash    sequence -> record (codec.py), page -> state of its messages, and
                         `bytes` -> how long all bodies are
    ready        zset    pages with a ready message, by number
    order        zset    pages by number
    waiting      zset    pages with a delayed or leased message, by the first end, ms
    expires      zset    pages by the first expiry in them, ms
    leased       string  how many messages are under a lease
    moving       hash    sequence -> dead letter on its way out
    moved        zset    origin of a dead letter that arrived, by its expiry, ms
    claim:<id>   string  the sequences that a claim took, to find them
    idem:<key>   string  first answer to a write

Of a scope, that is, of the queue of that name, or of none (an empty name):

    records       hash    <kind>:<key> -> record (records.py)
    record_names  zset    <kind>:<key> of all records, by name
    record_dues   zset    <kind>:<key> of those that will be due, by when, ms
    record_ends   zset    <kind>:<key> of those that will expire, by when, ms
    notice        string  which lists the scope is on (`includes/notice.lua`), for a day

A channel has the name of the key `messages`, or ends in `signal` instead; no key is that.

Of a list of scopes:

    scopes       zset    tags of scopes, by when the first of their records wants a visit, ms
    visits       hash    tag -> number of the visit under way; and how many there were

Of a project:

    names        zset    its queues, by name
    tokens       hash    queue -> token of its life, and when it was registered
    credentials  hash    r<id> -> record (credentials.py), and u<id> -> uses left
    live         zset    <kind>:<id> of credentials that are not revoked, by name
    expiring     zset    <kind>:<id> of all credentials, by expiry, ms
    bucket:<b>   string  what a bucket of tokens holds, and since when

Of the store:

    version      string  version of the revocations
    revoked      zset    ids of revoked credentials, by expiry, ms
    limits       hash    project -> limits
    limited      zset    projects that have limits, by name
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from urllib.parse import quote_from_bytes, unquote_to_bytes

from redis.crc import key_slot

from queues.model import Topic, TopicKind

#: Lists are spread over so many slots of a cluster.
SHARDS = 16
SEQUENCE_BYTES = 7

#: The keys that hold messages, as they stand in the headers of scripts.
MESSAGES = "messages ready order waiting expires leased"
#: ... and those that posting changes.
POSTING = "messages ready order waiting expires"
#: The keys that hold records.
RECORDS = "records record_names record_dues record_ends"

_QUEUE_KEYS = (
    "meta", "seq", "messages", "ready", "order",
    "waiting", "expires", "leased", "moving", "moved",
    "records", "record_names", "record_dues", "record_ends", "notice",
)  # fmt: skip
_PROJECT_KEYS = ("names", "tokens", "credentials", "live", "expiring")


def encode(text: str) -> bytes:
    """Return the bytes under which a name is stored; every string has its own."""
    return text.encode(errors="surrogatepass")


def decode(stored: bytes) -> str:
    """Return the name that was stored as these bytes."""
    return stored.decode(errors="surrogatepass")


def _quote(text: str) -> str:
    return quote_from_bytes(encode(text), safe="")


def _quoted(text: str) -> bytes:
    # PERF: new claim ids, and the empty key of most writes, need no quoting.
    if text.isascii() and (text.isalnum() or not text):
        return text.encode()
    return _quote(text).encode()


def sequence_key(seq: int) -> bytes:
    """Return a sequence as it stands in hashes."""
    return seq.to_bytes(SEQUENCE_BYTES, "big")


def shard_of(tag: str) -> int:
    """Return the number of the share of a list that a queue or scope with this tag is in."""
    return zlib.crc32(tag.encode()) % SHARDS


class Place:
    """Keys of one slot: their names by what they hold, and the number of the slot."""

    __slots__ = ("heads", "keys", "prefix", "slot")

    def __init__(self, prefix: str, names: tuple[str, ...]) -> None:
        self.prefix = prefix.encode()
        self.slot = key_slot(self.prefix)
        self.keys = {name: self.prefix + name.encode() for name in names}
        #: How the command of a script begins here: see `Script.run`.
        self.heads: dict[str, tuple[bytes | int, ...]] = {}


class QueuePlace(Place):
    """Keys of one queue, and of the records whose scope has its name."""

    __slots__ = ("tag",)

    def __init__(self, namespace: str, tag: str) -> None:
        super().__init__(f"{namespace}:{{{tag}}}:", _QUEUE_KEYS)
        self.tag = tag

    def claim(self, claim_id: str) -> bytes:
        """Return the key of a claim."""
        return self.prefix + b"claim:" + _quoted(claim_id)

    def idempotency(self, key: str) -> bytes:
        """Return the key of the record of an idempotency key."""
        return self.prefix + b"idem:" + _quoted(key)


class ProjectPlace(Place):
    """Keys of what belongs to a project as a whole."""

    __slots__ = ()

    def bucket(self, name: str) -> bytes:
        """Return the key of a bucket of tokens."""
        return self.prefix + b"bucket:" + _quoted(name)


class Layout:
    """Names of keys in one namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        # PERF: quoting and the slot's checksum cost more than the rest of a call.
        self.queue = lru_cache(maxsize=10_000)(self._queue)
        self.project = lru_cache(maxsize=10_000)(self._project)
        #: The key that says which layout the namespace has: see `mark.py`.
        self.mark = Place(f"{namespace}:{{layout::mark}}:", ("version",))
        self.revocations = Place(
            f"{namespace}:{{ledger::revocations}}:", ("version", "revoked")
        )
        self.quotas = Place(f"{namespace}:{{ledger::quotas}}:", ("limited", "limits"))
        self._sweep = self._shards("sweep", "due", "missing")
        #: Scopes with records that will be due, and with records that will expire.
        self.due = self._shards("due", "scopes", "visits")
        self.ends = self._shards("ends", "scopes", "visits")

    def _shards(self, name: str, *keys: str) -> tuple[Place, ...]:
        return tuple(
            Place(f"{self._namespace}:{{{name}::{shard}}}:", keys) for shard in range(SHARDS)
        )

    def _queue(self, project: str, queue: str) -> QueuePlace:
        return QueuePlace(self._namespace, f"{_quote(project)}:{_quote(queue)}")

    def _project(self, project: str) -> ProjectPlace:
        return ProjectPlace(f"{self._namespace}:{{{_quote(project)}::}}:", _PROJECT_KEYS)

    def channel(self, topic: Topic) -> bytes:
        """Return the channel of a topic, in the slot of the queue that has its name."""
        place = self.queue(topic.project, topic.name)
        if topic.kind is TopicKind.QUEUE:
            # PERF: so the scripts that change messages need no further name.
            return place.keys["messages"]
        return place.prefix + topic.kind.value.encode()

    def sweep(self, shard: int) -> Place:
        """Return the keys of one share of the list of queues to sweep."""
        return self._sweep[shard]

    def sweep_of(self, tag: str) -> Place:
        """Return the share of the list that a queue with this tag is in."""
        return self._sweep[shard_of(tag)]

    @staticmethod
    def names_of(tag: str) -> tuple[str, str]:
        """Return the project and the queue that have this tag."""
        project, _, queue = tag.partition(":")
        return decode(unquote_to_bytes(project)), decode(unquote_to_bytes(queue))
