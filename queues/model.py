"""The nouns that cross the storage contract. All immutable; times in ms since the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Media(IntEnum):
    """How the bytes of a message body are encoded. Stored, so numbers never change.

    `SEALED` is a body that was encrypted together with its true encoding. Only the store
    sees it.
    """

    JSON = 0
    MSGPACK = 1
    SEALED = 2


class DeadLetterReason(StrEnum):
    """Why a message was moved to a dead-letter queue."""

    MAX_CLAIM_COUNT = "max_claim_count"


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as stored.

    `metadata` is a JSON object as UTF-8 bytes, opaque to drivers. `version` is a number
    that the caller makes anew for every creation and change, so no two states share one.
    """

    name: str
    metadata: bytes
    version: int
    created_ms: int


class NewMessage(NamedTuple):
    """A message to be stored. `body` is kept as it is, byte for byte.

    `seal` asks for encryption at rest; a driver by itself takes no notice of it.
    """

    body: bytes
    media: Media
    ttl_s: int
    delay_ms: int
    client_id: str
    seal: bool = False


class DeadLetter(NamedTuple):
    """Where a dead-lettered message came from, and why it left."""

    queue: str
    seq: int
    reason: DeadLetterReason
    claim_count: int
    moved_ms: int


class Message(NamedTuple):
    """A message as it stands at the `now_ms` of the call that returned it.

    `ttl_s` is the number to show, `expires_ms` the truth (claiming may extend both).
    `claim_id` is set only while that claim's lease lives. `visible_ms` is the end of the
    live lease or the due time of a delay that is still running, and 0 when the message is
    ready. `claim_count` counts claims so far, also after release, lapse and renewal.
    `number` grows by one for each message that the queue was given since it was created: the
    difference of two says how many lie between them, gone or not. `sealed` says that it is
    encrypted at rest, though not as it is shown here.
    """

    seq: int
    posted_ms: int
    ttl_s: int
    expires_ms: int
    body: bytes
    media: Media
    claim_id: str | None
    claim_count: int
    visible_ms: int
    dead_letter: DeadLetter | None
    number: int
    sealed: bool = False


class Position(NamedTuple):
    """A place in a queue: the sequence and the number of the message there."""

    seq: int
    number: int


class Claim(NamedTuple):
    """A claim as it stands: the lease on its messages. Never empty.

    `lease_ms` is the length of the lease, `leased_ms` when it began or was last renewed.
    """

    id: str
    lease_ms: int
    leased_ms: int
    messages: Sequence[Message]


class MessagePage(NamedTuple):
    """One page of a listing.

    `next_seq` is the marker to continue from, or None when nothing was found after the
    marker. A page may be short, even empty, and still have a `next_seq`: the driver stops
    after looking at a bounded number of messages that the caller did not want to see.
    """

    messages: Sequence[Message]
    next_seq: int | None


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of the messages that have not expired; ends of the queue in store order."""

    claimed: int
    total: int
    oldest: Message | None
    newest: Message | None


class DeadLetterPolicy(NamedTuple):
    """Move a message to `queue` instead of claiming it once it was claimed `max_claims` times.

    `ttl_s` is counted from the move; None keeps the message's own expiry. `version` is for
    the dead-letter queue in case the driver has to create it.
    """

    queue: str
    max_claims: int
    ttl_s: int | None
    version: int


class Idempotency(NamedTuple):
    """The client's key for a write, and what it was used for.

    `fingerprint` is a digest of the request: the same key with another fingerprint is
    refused. The answer is remembered for `window_ms` from the first use.
    """

    key: str
    fingerprint: str
    window_ms: int


class CredentialKind(StrEnum):
    """What was given out. Stored, so the words never change."""

    TOKEN = "token"  # noqa: S105 (a kind, no secret)
    SHARE = "share"


class Credential(NamedTuple):
    """A credential that was given out, without its secret.

    `document` is opaque to drivers. `uses_left` counts down to 0; None means any number.
    """

    id: str
    kind: CredentialKind
    document: bytes
    created_ms: int
    expires_ms: int
    uses_left: int | None


class Revocations(NamedTuple):
    """The ids of all revoked credentials that would not have expired yet, of all projects.

    `version` is another one whenever an id was added, also after the store came back without
    its last changes or without anything. So it does not count, but follows the clock: at
    least the `now_ms` of the last revocation, and above the version before.
    """

    version: int
    ids: frozenset[str]


class Usage(NamedTuple):
    """What a project has in the store.

    `messages` and `body_bytes` (the sum of `len(body)` as stored, which is more where bodies
    are encrypted) count what has not been removed, so they may count expired messages until a
    sweep met them, but nothing that was purged or was in a deleted queue. `claimed` counts
    messages under a lease, and may count those whose lease has ended until a sweep met them.
    """

    queues: int
    messages: int
    body_bytes: int
    claimed: int


class Rate(NamedTuple):
    """A token bucket: fills by `per_s` tokens a second, holds `burst` at the most.

    `per_s` may be a fraction, and 0 fills nothing.
    """

    per_s: float
    burst: int


class Refusal(StrEnum):
    """Why a message was left alone by a conditional delete."""

    CLAIMED = "claimed"
    NOT_CLAIMED = "not_claimed"


@dataclass(frozen=True, slots=True)
class Health:
    """What a store says of itself: `durability` is the promise behind a 201, in words."""

    durability: str
    warnings: Sequence[str] = ()


class RecordKind(StrEnum):
    """What a record is about. Stored, so the words never change."""

    SUBSCRIPTION = "subscription"
    #: Which subscription an address belongs to.
    SUBSCRIBER = "subscriber"
    #: Where the deliveries of a subscription have got to.
    LANE = "lane"
    #: Posted messages that are to be notified of.
    OUTBOX = "outbox"
    #: What became of one notification.
    DELIVERY = "delivery"
    CURSOR = "cursor"
    SIGNAL = "signal"
    #: What one sender said to a signal.
    SIGNAL_DATA = "signal_data"
    REDRIVE = "redrive"
    #: What a message went through that was dead before.
    LINEAGE = "lineage"


class Record(NamedTuple):
    """A document as it is kept. `document` is opaque to drivers.

    `version` is made by the caller at random for a new record. At `due_ms` it wants to be
    taken (None: never), at `expires_ms` it is gone (None: never). `seal` asks for encryption
    at rest like that of a message; a record that was stored so comes back with it.
    """

    kind: RecordKind
    scope: str
    key: str
    document: bytes
    version: int
    due_ms: int | None = None
    expires_ms: int | None = None
    seal: bool = False


class Taken(NamedTuple):
    """A record that was taken because it was due, and whose it is."""

    project: str
    record: Record


class TopicKind(StrEnum):
    """What a hint can be about."""

    QUEUE = "queue"
    SIGNAL = "signal"


class Topic(NamedTuple):
    """A place to look at: a queue or a signal of a project."""

    project: str
    kind: TopicKind
    name: str
