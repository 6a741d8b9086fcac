"""A lane: how far the notifications of one subscription have got, and how its receiver does.

A lane goes through the outbox of its queue in order. What fails at first is put aside, with
a schedule of its own, and the lane goes on. After `FAILURES_IN_A_ROW` it takes its receiver
to be away, and only tries from time to time; so a receiver that is away costs the same
however much waits for it.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from queues.model import Record

#: After so many a lane waits before it tries another one.
FAILURES_IN_A_ROW = 5

_FIRST_QUIET_MS = 5_000
_LONGEST_QUIET_MS = 600_000


class Lane(NamedTuple):
    """Where a lane is.

    Everything up to the outbox record `after` is settled, and of the record `part`, the first
    one behind it, the first `done` messages. `failures` counts those in a row; until
    `quiet_until_ms` the receiver is left alone. While the record is due at `waits_until_ms`,
    there is nothing to do but to wait for the delay of a message. `rung` says that somebody
    posted while the lane was worked on. `alone_since_ms` is when it had no subscription: it is
    opened before that is stored.
    """

    after: str
    part: str = ""
    done: int = 0
    failures: int = 0
    quiet_until_ms: int = 0
    waits_until_ms: int = 0
    rung: bool = False
    alone_since_ms: int = 0

    @property
    def is_failing(self) -> bool:
        """Whether the receiver seems to be away."""
        return self.failures >= FAILURES_IN_A_ROW

    def document(self) -> bytes:
        """Return the lane as it is kept."""
        return json.dumps(self._asdict()).encode()

    def passed(self, key: str, done: int, size: int) -> Lane:
        """Return the lane after the first `done` of `size` messages of a record."""
        if done >= size:
            return self._replace(after=key, part="", done=0)
        return self._replace(part=key, done=done)

    def succeeded(self) -> Lane:
        """Return the lane after something was delivered."""
        return self._replace(failures=0, quiet_until_ms=0)

    def failed(self, count: int, now_ms: int) -> Lane:
        """Return the lane after `count` failures without a success."""
        failures = self.failures + count
        excess = failures - FAILURES_IN_A_ROW
        if excess < 0:
            return self._replace(failures=failures)
        quiet_ms = min(_FIRST_QUIET_MS << min(excess, 20), _LONGEST_QUIET_MS)
        return self._replace(failures=failures, quiet_until_ms=now_ms + quiet_ms)


def rung(record: Record, now_ms: int) -> Record | None:
    """Return the record changed so that whoever works on the lane looks again; None if it will.

    A lane that is worked on keeps its lease, and one whose receiver is left alone its time.
    """
    lane = read(record)
    if record.due_ms is None or record.due_ms == lane.waits_until_ms > now_ms:
        return record._replace(due_ms=now_ms, document=_at_rest(lane).document())
    if record.due_ms <= now_ms or lane.quiet_until_ms > now_ms or lane.rung:
        return None
    return record._replace(document=lane._replace(rung=True).document())


def _at_rest(lane: Lane) -> Lane:
    return lane._replace(waits_until_ms=0, rung=False)


def read(record: Record) -> Lane:
    """Return the lane in a record."""
    return Lane(**json.loads(record.document))
