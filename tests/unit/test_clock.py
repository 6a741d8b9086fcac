"""The wall clock, and the clock of the tests."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from queues.clock import Clock, SystemClock
from tests.clock import MovableClock


def milliseconds_now() -> float:
    return datetime.now(UTC).timestamp() * 1000


def test_the_system_clock_gives_milliseconds_since_the_epoch() -> None:
    before = int(milliseconds_now())
    now_ms = SystemClock().now_ms()
    assert isinstance(now_ms, int)
    assert before <= now_ms <= milliseconds_now()


def test_a_movable_clock_starts_at_the_real_time_and_stands_still() -> None:
    clock: Clock = MovableClock()
    start_ms = clock.now_ms()
    assert abs(milliseconds_now() - start_ms) < 10_000
    assert clock.now_ms() == start_ms


def test_a_movable_clock_moves_by_what_it_is_told_and_only_forward() -> None:
    clock = MovableClock()
    start_ms = clock.now_ms()
    assert clock.advance(s=1.5, ms=2) == start_ms + 1502
    assert clock.now_ms() == start_ms + 1502
    with pytest.raises(AssertionError):
        clock.advance(ms=-1)
