"""What the record of a redrive holds: what to move, how far it has got, how it ended.

A redrive takes dead letters out of a queue and posts them where they came from, or in one
queue for all. The record is the only truth: it names the messages in hand before anything
happens to them, so that whoever goes on after a crash finishes with them first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from queues import filters
from queues.errors import InvalidRequest
from queues.limits import check_queue_name, check_range
from queues.model import DeadLetterReason

#: One letter a day, and more than any server moves.
MIN_RATE_PER_S, MAX_RATE_PER_S = 1 / 86_400, 10_000
MAX_LIMIT = 2**53

#: Without a rate, and with a high one, so many letters are in hand at a time.
BATCH = 20

_REASONS = tuple(str(reason) for reason in DeadLetterReason)


class RedriveState(StrEnum):
    """Where a redrive stands. Stored, so the words never change."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters a redrive is to move, where to, and how fast.

    `to` None posts each where it came from. `body` is a filter as subscriptions have it.
    None means: from all queues, for every reason, as fast as it goes, all of them.
    """

    to: str | None = None
    source: str | None = None
    reason: str | None = None
    body: Mapping[str, Any] | None = None
    rate_per_s: float | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Redrive:
    """A redrive as it stands.

    It has looked at the letters up to `after_seq` and ends at `until_seq`. `held` are those
    in hand. `moved`, `refused` (the target does not take them) and `skipped` (no letters, or
    filtered out, or in somebody else's hands) count what it has dealt with.
    """

    id: str
    wanted: Wanted
    state: RedriveState
    after_seq: int
    until_seq: int
    started_ms: int
    ended_ms: int | None = None
    held: tuple[int, ...] = ()
    moved: int = 0
    refused: int = 0
    skipped: int = 0

    @property
    def is_over(self) -> bool:
        """Say whether nothing more will be moved."""
        return self.state in (RedriveState.CANCELLED, RedriveState.COMPLETED)

    @property
    def batch(self) -> int:
        """How many letters to take in hand next; 0 when that is all."""
        if self.state is not RedriveState.RUNNING or self.after_seq >= self.until_seq:
            return 0
        rate, limit = self.wanted.rate_per_s, self.wanted.limit
        batch = BATCH if rate is None else max(1, min(BATCH, int(rate)))
        return batch if limit is None else max(0, min(batch, limit - self.moved))

    def ended(self, now_ms: int) -> Redrive:
        """Return it as it is when there is nothing left to do."""
        cancelled = self.state is RedriveState.CANCELLING
        state = RedriveState.CANCELLED if cancelled else RedriveState.COMPLETED
        return replace(self, state=state, ended_ms=now_ms)


def encode(redrive: Redrive) -> bytes:
    """Return the document of a redrive."""
    return json.dumps(asdict(redrive), separators=(",", ":")).encode()


def decode(document: bytes) -> Redrive:
    """Return the redrive that `encode` wrote."""
    stored = json.loads(document)
    return Redrive(
        **{
            **stored,
            "wanted": Wanted(**stored["wanted"]),
            "state": RedriveState(stored["state"]),
            "held": tuple(stored["held"]),
        }
    )


def check(wanted: Wanted) -> Wanted:
    """Return what is wanted if it can be done.

    Raises: InvalidRequest naming the field.
    """
    for field, name in (("to", wanted.to), ("filter.source", wanted.source)):
        if name is not None:
            check_queue_name(field, name)
    if wanted.reason is not None and wanted.reason not in _REASONS:
        raise InvalidRequest(f"filter.reason must be one of {', '.join(_REASONS)}.")
    if wanted.body is not None:
        filters.check("filter", {"body": wanted.body})
    rate_per_s = wanted.rate_per_s
    if rate_per_s is not None and not MIN_RATE_PER_S <= rate_per_s <= MAX_RATE_PER_S:
        raise InvalidRequest(
            f"rate must be from 1 / 86400 (one a day) to {MAX_RATE_PER_S} a second."
        )
    if wanted.limit is not None:
        check_range("limit", wanted.limit, 1, MAX_LIMIT)
    return wanted
