"""A clock that tests move instead of sleeping."""

from __future__ import annotations

from queues.clock import SystemClock


class MovableClock:
    """A `queues.clock.Clock` that starts at the real time and stands still until moved.

    It only goes forward, so a store's own expiry can never act before the test means it.
    """

    def __init__(self) -> None:
        self._now_ms = SystemClock().now_ms()

    def now_ms(self) -> int:
        """Return the current time in milliseconds since the epoch."""
        return self._now_ms

    def advance(self, *, s: float = 0, ms: int = 0) -> int:
        """Move forward and return the new time."""
        step_ms = round(s * 1000) + ms
        assert step_ms >= 0, "time only moves forward"
        self._now_ms += step_ms
        return self._now_ms
