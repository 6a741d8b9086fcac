"""The arithmetic of token buckets, for stores that leave it to Python.

What it has to keep is the contract of `queues.ledgers.QuotaStore.take`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from queues.model import Rate

#: So near to a whole token counts as one: ten times a tenth is a little less.
_NEARLY = 1e-6


class Bucket(NamedTuple):
    """A bucket as stored: what it held, fractions included, at the latest time counted."""

    level: float
    latest_ms: int


def take(bucket: Bucket | None, tokens: int, rate: Rate, now_ms: int) -> tuple[int, Bucket]:
    """Return how many of `tokens` can be taken, and the bucket without them.

    None stands for a bucket that was never used, and so is full.
    """
    level, latest_ms = bucket or Bucket(rate.burst, now_ms)
    passed_ms = max(0, now_ms - latest_ms)
    level = min(rate.burst, level + passed_ms * rate.per_s / 1000)
    taken = min(tokens, int(level + _NEARLY))
    return taken, Bucket(float(level - taken), latest_ms + passed_ms)


def full_ms(bucket: Bucket, rate: Rate, never_ms: int) -> int:
    """Return when the bucket is full and may be forgotten; `never_ms` is the latest time."""
    missing = rate.burst - bucket.level
    if missing * 1000 >= never_ms * rate.per_s:
        return never_ms
    return min(never_ms, bucket.latest_ms + math.ceil(missing * 1000 / rate.per_s))
