"""The storage contract: what every driver promises, and the only thing a driver sees.

Rules that hold for every method:

* `project` comes first and has no default; nothing of one project is reachable from another,
  whatever characters the names contain.
* Time (`now_ms`), claim ids and queue versions come from the caller. A driver reads no clock.
* One call is one atomic step: concurrent calls see all of it or nothing of it, and so does
  the state after a crash. Where a driver cannot, a `Capabilities` field says so.
* A message whose `expires_ms` is at or before `now_ms` does not exist, swept or not.
* *Ready* means: not expired, and `visible_ms` at or before `now_ms`; it does not matter
  whether the driver has noticed yet that a delay or a lease ended.
* The cost of a call depends on its page, not on how many messages are queued, claimed,
  delayed or expired (promise 7).
* The store failing or not answering within the driver's timeout raises
  `StorageUnavailable`, and the next call works again once the store does.

`tests/conformance` is the executable form of this page.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from queues.ledgers import CredentialStore, QuotaStore
from queues.model import (
    Claim,
    DeadLetterPolicy,
    Health,
    Idempotency,
    Message,
    MessagePage,
    NewMessage,
    Position,
    Queue,
    Record,
    Refusal,
    Stats,
)
from queues.records import RecordStore
from queues.wakeups import Wakeups

#: A claim moves at most this many messages to the dead-letter queue, then it stops.
DEAD_LETTERS_PER_CLAIM = 100

#: A listing looks at no more than this many messages that it does not return.
HIDDEN_PER_LISTING = 1000


def outbox_key(seq: int) -> str:
    """Return the key of the outbox record of a post whose first sequence is `seq`.

    Keys of one queue are in the order of its messages.
    """
    return f"{seq:014x}"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Where drivers may differ. Each field has a conformance test for both answers.

    `atomic_batches`: a post or a renewal of several messages happens as a whole even when
    the server is killed in the middle. `flat_stats`: stats cost the same at any depth.
    `encrypts`: messages and records with `seal` are encrypted before they are stored; a pop
    that meets one takes several steps, and may return an expiry that a lease extended; a
    `take` leaves what it cannot decrypt under the lease.
    """

    atomic_batches: bool
    flat_stats: bool
    encrypts: bool = False


class QueueStore(ABC):
    """Queues and their metadata."""

    @abstractmethod
    async def create(
        self, project: str, queue: str, *, metadata: bytes, version: int, now_ms: int
    ) -> tuple[Queue, bool]:
        """Create the queue, or find it as it is.

        Returns the stored queue and whether this call created it; an existing queue is not
        changed. Of concurrent calls exactly one creates. Sequences begin above
        `ids.first_sequence(now_ms)`, and those of a queue that is created again continue
        above those of its former life.
        """

    @abstractmethod
    async def get(self, project: str, queue: str) -> Queue | None:
        """Return the queue, or None if it does not exist."""

    @abstractmethod
    async def update(
        self,
        project: str,
        queue: str,
        *,
        metadata: bytes,
        expected_version: int,
        version: int,
    ) -> Queue:
        """Replace the metadata if the queue is still at `expected_version`.

        Raises: QueueNotFound; QueueChanged when it is at another version.
        """

    @abstractmethod
    async def delete(self, project: str, queue: str, *, now_ms: int) -> None:
        """Delete the queue with its messages, claims and idempotency records.

        Takes constant time: what is left over is removed by `Storage.sweep` or by the
        store in the background, and is invisible at once. An absent queue is no error.
        """

    @abstractmethod
    async def purge(self, project: str, queue: str, *, now_ms: int) -> None:
        """Remove all messages in every state, in constant time like `delete`.

        Metadata, version, idempotency records and the sequence stay. An absent queue is no
        error.
        """

    @abstractmethod
    async def list(self, project: str, *, marker: str, limit: int) -> Sequence[Queue]:
        """Return up to `limit` queues with names after `marker`, ascending by code point.

        `marker` need not exist; an empty one starts at the beginning. Fewer than `limit`
        queues means that there are no more.
        """

    @abstractmethod
    async def count(self, project: str) -> int:
        """Return how many queues the project has."""

    @abstractmethod
    async def stats(self, project: str, queue: str, *, now_ms: int) -> Stats:
        """Count the messages by state; an absent queue gives zeros.

        `claimed` counts messages under a live lease, `total` all that have not expired.
        """


class MessageStore(ABC):
    """Messages outside of claims."""

    @abstractmethod
    async def post(
        self,
        project: str,
        queue: str,
        messages: Sequence[NewMessage],
        *,
        queue_version: int,
        idempotency: Idempotency | None,
        now_ms: int,
        outbox: Record | None = None,
    ) -> Sequence[int]:
        """Store the messages and return their sequences, ascending, in the given order.

        When this returns, the messages are as durable as the driver promises. A message
        with a sequence higher than one that any reader has seen is never inserted below
        it: a reader that pages by sequence misses nothing (promise 3).
        `expires_ms` is `now_ms` + `ttl_s`; `visible_ms` is `now_ms` + `delay_ms`, or 0
        without a delay.

        With `idempotency`, a repeat within the window stores nothing and returns the
        sequences of the first call, also when those messages are gone by now.

        `outbox` is a record of kind OUTBOX with the queue as its scope and without a key. It is
        stored in the same step, under the key `outbox_key` of the first sequence; not for a
        repeat. No message that was acknowledged is without it. Where batches are not
        atomic, a crash may leave it behind without messages that were not acknowledged.

        Raises: QueueChanged when the queue is not at `queue_version` or does not exist
        (not for a repeat); IdempotencyKeyReused.
        """

    @abstractmethod
    async def list(
        self,
        project: str,
        queue: str,
        *,
        after_seq: int,
        limit: int,
        include_claimed: bool,
        include_delayed: bool,
        exclude_client_id: str | None,
        now_ms: int,
    ) -> MessagePage:
        """Return messages with sequences above `after_seq`, ascending, `limit` at most.

        Leaves out messages under a live lease unless `include_claimed`, those with a
        running delay unless `include_delayed`, and those posted by `exclude_client_id`.
        `next_seq` is the last sequence returned; when the driver stopped early because it
        met `HIDDEN_PER_LISTING` messages that it had to leave out, it is the last sequence
        looked at, so no message behind them is out of reach. An absent queue is empty.
        """

    @abstractmethod
    async def get(
        self, project: str, queue: str, seqs: Sequence[int], *, now_ms: int
    ) -> Sequence[Message]:
        """Return the messages that exist, in the order of `seqs`, whatever their state."""

    @abstractmethod
    async def delete(
        self,
        project: str,
        queue: str,
        seqs: Sequence[int],
        *,
        claim_ids: Collection[str] | None,
        now_ms: int,
    ) -> Mapping[int, Refusal]:
        """Delete messages, each if its state allows, and say which were refused and why.

        `claim_ids` None deletes in any state. An empty collection deletes only what is not
        under a live lease, else `CLAIMED`. Otherwise a message must be under a live lease
        of one of `claim_ids`: `CLAIMED` when another claim has it, `NOT_CLAIMED` when none
        has. Unknown and expired messages are not refused: a repeated delete succeeds.
        """

    @abstractmethod
    async def pop(
        self, project: str, queue: str, *, limit: int, now_ms: int
    ) -> Sequence[Message]:
        """Remove and return up to `limit` ready messages, lowest sequences first.

        Two concurrent calls never return the same message. Empty for an absent queue.

        Stops before the first ready message whose media is `Media.SEALED`: whoever cannot
        open it must not destroy it. A storage that `encrypts` opens it and goes on.

        Raises: MessageSealed when the very first ready message is one; nothing is removed.
        """

    @abstractmethod
    async def tail(self, project: str, queue: str) -> Position:
        """Return the position of the last message that was posted, gone or not.

        No message is ever inserted at or below its sequence any more: who has read up to
        here has missed nothing. The position is (0, 0) for an absent queue; in a queue that
        never had a message, the number is the one before its first.
        """

    @abstractmethod
    async def next_due(self, project: str, queue: str, *, now_ms: int) -> int | None:
        """Return when the next message that is delayed or leased becomes ready, in ms.

        Never later than the truth; it may be earlier, and at or before `now_ms` when
        something is due already. None when no message is waiting for its time. Of a message
        that was deleted or released before its time, that time may be the answer until it
        has passed and a claim, a pop or a sweep has noticed.
        """


class ClaimStore(ABC):
    """Claims: leases on messages. A claim is no record of its own.

    A claim exists as long as at least one message carries its id under a live lease, that
    is, with `visible_ms` after `now_ms`.
    """

    @abstractmethod
    async def claim(
        self,
        project: str,
        queue: str,
        *,
        claim_id: str,
        limit: int,
        lease_ms: int,
        grace_ms: int,
        dead_letter: DeadLetterPolicy | None,
        queue_version: int,
        idempotency: Idempotency | None,
        now_ms: int,
    ) -> Claim | None:
        """Lease up to `limit` ready messages, lowest sequences first.

        Each leased message gets `claim_id`, `visible_ms` = E = `now_ms` + `lease_ms` and
        `claim_count` + 1. If its `expires_ms` is before E, its `ttl_s` becomes the seconds
        of `lease_ms` + `grace_ms` and its `expires_ms` E + `grace_ms`. Two concurrent calls
        never return the same message, and after a crash each is either ready or leased.

        With `dead_letter`, a ready message whose `claim_count` has reached `max_claims` is
        moved instead of leased and does not count towards `limit`; after
        `DEAD_LETTERS_PER_CLAIM` moves the call stops looking. In the dead-letter queue
        (created with empty metadata if absent) the message is posted anew: a new sequence,
        `claim_count` 0, ready, its origin in `Message.dead_letter`; body, media, client id
        and `posted_ms` stay. `ttl_s` of the policy, if any, replaces the message's and
        counts from `now_ms`. A move is never lost and never doubled; where it takes two
        steps, `Storage.sweep` finishes what a crash interrupted.

        Returns None, and leaves no trace, when nothing was leased. With `idempotency`, a
        repeat within the window leases nothing and returns what the first call's claim
        still holds, or None.

        Raises: QueueChanged as in `MessageStore.post`; IdempotencyKeyReused.
        """

    @abstractmethod
    async def get(
        self, project: str, queue: str, claim_id: str, *, now_ms: int
    ) -> Claim | None:
        """Return the live claim with its messages by sequence, or None."""

    @abstractmethod
    async def renew(
        self,
        project: str,
        queue: str,
        claim_id: str,
        *,
        lease_ms: int,
        grace_ms: int,
        idempotency: Idempotency | None,
        now_ms: int,
    ) -> None:
        """Start the lease of all messages under the live claim anew from `now_ms`.

        The new lease may end earlier than the old one. Message expiry is extended as by
        `claim`. With `idempotency`, a repeat within the window changes nothing.

        Raises: ClaimLost when no message is under a live lease of this claim (promise 4);
        IdempotencyKeyReused.
        """

    @abstractmethod
    async def hold(
        self,
        project: str,
        queue: str,
        seqs: Sequence[int],
        *,
        claim_id: str,
        lease_ms: int,
        now_ms: int,
    ) -> Sequence[Message]:
        """Lease those of `seqs` that are ready, and return them by sequence.

        For whoever moves messages on behalf of their owner: unlike `claim` it chooses
        nothing, counts as no claim, lets no message live longer and minds no version of the
        queue. The messages join what `claim_id` holds already; two concurrent calls of
        `hold` or `claim` never return the same message. Empty for an absent queue.
        """

    @abstractmethod
    async def release(self, project: str, queue: str, claim_id: str, *, now_ms: int) -> None:
        """Make the messages of the live claim ready. Without any, it is no error."""


class Storage(ABC):
    """A store and the views on it."""

    capabilities: Capabilities
    queues: QueueStore
    messages: MessageStore
    claims: ClaimStore
    credentials: CredentialStore
    quotas: QuotaStore
    records: RecordStore
    wakeups: Wakeups

    @abstractmethod
    async def open(self) -> None:
        """Connect, refuse unsafe settings of the store, bring the schema up to date.

        Called once in each server process, after the fork, in the event loop that will
        use it. Logs a warning for settings that weaken durability.

        Raises: ConfigurationError, StorageUnavailable.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let running calls finish, then free all connections and threads."""

    @abstractmethod
    async def health(self) -> Health:
        """Ask the store for a sign of life and for its durability settings.

        Raises: StorageUnavailable.
        """

    @abstractmethod
    async def sweep(self, *, limit: int, now_ms: int) -> int:
        """Clear away in one bounded batch, and return how many messages were dealt with.

        Removes expired messages, old idempotency records, expired credentials and records,
        and what deleted and purged queues left behind; makes messages ready whose delay or
        lease has ended; finishes interrupted moves to dead-letter queues. Any number of
        processes may sweep at the same time. Returns 0 when there is nothing left to do at
        `now_ms`. No promise of the contract depends on when, or whether, it is called, except
        that an interrupted move stays out of sight until then.
        """
