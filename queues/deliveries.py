"""A delivery: one notification on its way to one subscriber, and every attempt so far."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from queues import retries
from queues.model import Record
from queues.records import legible
from queues.retries import Outcome, Verdict

#: So many attempts are remembered of each delivery, the last ones.
REMEMBERED = 50

_MAX_ERROR_CHARS = 200


_KEY = re.compile(r"(?P<subscription>[^/]+)/(?P<outbox>[0-9a-f]{14})/(?P<number>[0-9a-f]{6})")


class Place(NamedTuple):
    """Which message for which subscription: a delivery is found by this."""

    subscription_id: str
    outbox_key: str
    number: int

    @property
    def key(self) -> str:
        """The key of its record. Keys of a subscription are in the order of the queue."""
        return f"{self.subscription_id}/{self.event_id.replace('-', '/')}"

    @property
    def before(self) -> str:
        """A key that is less than its own and not less than those of messages before it."""
        above = self.key.rpartition("/")[0]
        return f"{above}/{self.number - 1:06x}" if self.number else f"{above}/"

    @property
    def event_id(self) -> str:
        """What tells the message from others of its queue; the same for all who hear of it."""
        return f"{self.outbox_key}-{self.number:06x}"


def place(key: str) -> Place | None:
    """Return what the key of a record says; None if it is of a notice."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    return Place(found["subscription"], found["outbox"], int(found["number"], 16))


def webhook_id(source: tuple[str, str], key: str) -> str:
    """Return what tells a delivery from all others, the same in each of its attempts."""
    return hashlib.sha256(repr((*source, key)).encode()).hexdigest()[:32]


class State(StrEnum):
    """Where a delivery stands. Stored, so the words never change."""

    #: It has not been tried, or will be tried again.
    PENDING = "pending"
    DELIVERED = "delivered"
    #: A dead letter: it is not tried again unless somebody asks for it.
    FAILED = "failed"


class Attempt(NamedTuple):
    """One attempt: when, for how long, and the status of the answer or what went wrong."""

    at_ms: int
    took_ms: int
    status: int | None
    error: str


class Delivery(NamedTuple):
    """A delivery as it stands.

    `since_ms` is when it was due at first. `failures` counts those since then, or since it was
    asked for again. `notice` is what is sent, if that is no message of an outbox, and `to`
    where it goes, if that is not where the subscription says.
    """

    since_ms: int
    state: State = State.PENDING
    failures: int = 0
    attempts: tuple[Attempt, ...] = ()
    notice: Mapping[str, Any] | None = None
    to: Mapping[str, Any] | None = None

    def document(self) -> bytes:
        """Return the delivery as it is kept."""
        return json.dumps(self._asdict(), separators=(",", ":")).encode()

    def attempted(self, attempt: Attempt) -> Delivery:
        """Return the delivery with one more attempt."""
        short = attempt._replace(error=attempt.error[:_MAX_ERROR_CHARS])
        return self._replace(attempts=(*self.attempts, short)[-REMEMBERED:])

    def failed(self, reason: str, now_ms: int) -> Delivery:
        """Return the delivery as a dead letter that was given up without an attempt."""
        attempt = Attempt(now_ms, 0, None, reason)
        return self.attempted(attempt)._replace(state=State.FAILED)


def read(record: Record) -> Delivery:
    """Return the delivery in a record.

    Raises: StorageUnavailable for one that is encrypted, on a server without keys.
    """
    document = json.loads(legible(record))
    document["state"] = State(document["state"])
    document["attempts"] = tuple(Attempt(*attempt) for attempt in document["attempts"])
    return Delivery(**document)


def judged(
    delivery: Delivery,
    outcome: Outcome,
    attempt: Attempt,
    *,
    policy: Mapping[str, Any],
    chance: float,
) -> tuple[Delivery, int | None]:
    """Return the delivery after an attempt, and when the next one is due, if there is one."""
    tried, verdict = delivery.attempted(attempt), retries.verdict(outcome)
    if verdict is Verdict.DELIVERED:
        return tried._replace(state=State.DELIVERED), None
    tried = tried._replace(failures=delivery.failures + 1)
    if verdict is Verdict.RETRY:
        delay_ms = retries.delay_ms(policy, tried.failures, chance)
        if delay_ms is not None:
            end_ms = attempt.at_ms + attempt.took_ms
            return tried, end_ms + max(delay_ms, retries.patience_ms(outcome))
    return tried._replace(state=State.FAILED), None
