"""What the reference keeps in mind: queues, messages, leases, keys, credentials, records."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from queues.errors import IdempotencyKeyReused, QueueChanged
from queues.ids import first_sequence
from queues.model import (
    Credential,
    Idempotency,
    Message,
    Position,
    Queue,
    Rate,
    Record,
    RecordKind,
    Topic,
    TopicKind,
)
from queues.wakeups import Heard

#: Where the first message of a queue comes after.
BEGINNING = Position(0, 0)


@dataclass
class StoredMessage:
    """A message and its lease, as they were at the last change."""

    message: Message
    client_id: str
    lease_ms: int = 0

    def exists(self, now_ms: int) -> bool:
        return self.message.expires_ms > now_ms

    def is_ready(self, now_ms: int) -> bool:
        return self.message.visible_ms <= now_ms

    def holder(self, now_ms: int) -> str | None:
        """Return the id of the claim with a live lease on the message."""
        return None if self.is_ready(now_ms) else self.message.claim_id

    def seen(self, now_ms: int) -> Message:
        """Return the message as it stands at `now_ms`."""
        if self.is_ready(now_ms):
            return self.message._replace(claim_id=None, visible_ms=0)
        return self.message

    def lease(self, claim_id: str, lease_ms: int, grace_ms: int, now_ms: int) -> None:
        end_ms = now_ms + lease_ms
        self.lease_ms = lease_ms
        self.message = self.message._replace(claim_id=claim_id, visible_ms=end_ms)
        if self.message.expires_ms < end_ms:
            self.message = self.message._replace(
                ttl_s=(lease_ms + grace_ms) // 1000, expires_ms=end_ms + grace_ms
            )


@dataclass
class Remembered:
    """What an idempotency key was used for."""

    fingerprint: str
    forgotten_ms: int
    answer: list[int] | str


@dataclass
class StoredQueue:
    """A queue with its messages in store order. `tail` is where the last one was put."""

    queue: Queue
    tail: Position
    messages: list[StoredMessage] = field(default_factory=list)
    remembered: dict[str, Remembered] = field(default_factory=dict)

    def living(self, now_ms: int) -> list[StoredMessage]:
        return [stored for stored in self.messages if stored.exists(now_ms)]

    def remove(self, gone: StoredMessage) -> None:
        self.messages.remove(gone)


@dataclass
class StoredCredential:
    """A credential, and whether it was revoked."""

    credential: Credential
    revoked: bool = False

    def exists(self, now_ms: int) -> bool:
        return self.credential.expires_ms > now_ms

    def is_live(self, now_ms: int) -> bool:
        return self.exists(now_ms) and not self.revoked


@dataclass
class Bucket:
    """What a bucket of tokens held at the latest time that was counted."""

    level: Fraction
    latest_ms: int

    def fill(self, rate: Rate, now_ms: int) -> None:
        passed_ms = max(0, now_ms - self.latest_ms)
        self.latest_ms += passed_ms
        # NOTE: `repr` makes 0.1 a tenth, not the nearest fraction of a power of two.
        self.level += Fraction(repr(rate.per_s)) * passed_ms / 1000
        self.level = min(self.level, Fraction(rate.burst))


class Place(NamedTuple):
    """Where a record is."""

    project: str
    kind: RecordKind
    scope: str
    key: str


@dataclass(eq=False)
class Ear:
    """One process that hears of topics."""

    heard: Heard
    topics: set[Topic]


class World:
    """All that is kept of all projects, and the one counter that all sequences come from.

    `revocation` is the version of what is revoked.
    """

    def __init__(self) -> None:
        self.queues: dict[tuple[str, str], StoredQueue] = {}
        self.credentials: dict[tuple[str, str], StoredCredential] = {}
        self.revocation = 0
        self.quotas: dict[str, bytes] = {}
        self.buckets: dict[tuple[str, str], Bucket] = {}
        self.records: dict[Place, Record] = {}
        self.ears: list[Ear] = []
        self._last_seq = 0

    def create(self, project: str, queue: Queue) -> StoredQueue:
        """Create a queue, which continues above all that ever was."""
        self._last_seq = max(self._last_seq, first_sequence(queue.created_ms))
        made = StoredQueue(queue, Position(self._last_seq, 0))
        self.queues[project, queue.name] = made
        return made

    def append(self, stored: StoredQueue, message: Message, client_id: str) -> int:
        """Put a message at the end of a queue, and return its sequence."""
        self._last_seq += 1
        stored.tail = Position(self._last_seq, stored.tail.number + 1)
        placed = message._replace(seq=stored.tail.seq, number=stored.tail.number)
        stored.messages.append(StoredMessage(placed, client_id))
        return placed.seq

    def messages(self, project: str, queue: str, now_ms: int) -> list[StoredMessage]:
        stored = self.queues.get((project, queue))
        return stored.living(now_ms) if stored else []

    def at_version(self, project: str, queue: str, version: int) -> StoredQueue:
        stored = self.queues.get((project, queue))
        if stored is None or stored.queue.version != version:
            raise QueueChanged
        return stored

    def recall(
        self, project: str, queue: str, key: Idempotency | None, now_ms: int
    ) -> Remembered | None:
        """Return what the key was used for within its window, if anything."""
        stored = self.queues.get((project, queue))
        if key is None or stored is None:
            return None
        known = stored.remembered.get(key.key)
        if known is None or known.forgotten_ms <= now_ms:
            return None
        if known.fingerprint != key.fingerprint:
            raise IdempotencyKeyReused
        return known

    def remember(
        self,
        project: str,
        queue: str,
        key: Idempotency | None,
        answer: list[int] | str,
        now_ms: int,
    ) -> None:
        if key is not None:
            known = Remembered(key.fingerprint, now_ms + key.window_ms, answer)
            self.queues[project, queue].remembered[key.key] = known

    def record(self, place: Place, now_ms: int) -> Record | None:
        """Return the record there, if it exists."""
        found = self.records.get(place)
        if found is None or (found.expires_ms is not None and found.expires_ms <= now_ms):
            return None
        return found

    def take(self, place: Place, lease_ms: int, now_ms: int) -> Record | None:
        """Take the record there, if it is due, and return how it stands then."""
        found = self.record(place, now_ms)
        if found is None or found.due_ms is None or found.due_ms > now_ms:
            return None
        taken = found._replace(version=found.version + 1, due_ms=now_ms + lease_ms)
        self.records[place] = taken
        return taken

    def tell(self, topic: Topic) -> None:
        """Let all processes hear of the topic that watch it."""
        for ear in self.ears:
            if topic in ear.topics:
                asyncio.get_running_loop().call_soon(ear.heard, topic)

    def tell_of_queue(self, project: str, queue: str) -> None:
        self.tell(Topic(project, TopicKind.QUEUE, queue))

    def clear(self, limit: int, now_ms: int) -> int:
        """Remove up to `limit` expired messages."""
        expired = [
            (stored, message)
            for stored in self.queues.values()
            for message in stored.messages
            if not message.exists(now_ms)
        ][:limit]
        for stored, message in expired:
            stored.remove(message)
        return len(expired)
