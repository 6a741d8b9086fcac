"""The only place where Nusku reads a clock.

Everything else takes ``now_ms`` as an argument, so that tests move time instead of
sleeping. Times are integer milliseconds since the Unix epoch.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of the current time."""

    def now_ms(self) -> int:
        """Return the current time in milliseconds since the epoch."""


class SystemClock:
    """The wall clock of the machine."""

    def now_ms(self) -> int:
        """Return the current time in milliseconds since the epoch."""
        return time.time_ns() // 1_000_000  # noqa: TID251 (this is the clock)
