"""The alarm: it asks the store seldom, and misses nothing that becomes due."""

from __future__ import annotations

import asyncio

import pytest

from queues.errors import StorageUnavailable
from queues.operations.alarm import PAUSE_S, STALE_S, Alarm
from tests.operations.hurry import LoopClock, in_no_time


class Trial:
    """An alarm, what its store answers, and what it asked and when it rang."""

    def __init__(self, *answers: int | Exception | None) -> None:
        self._answers = list(answers)
        self.asked: list[int] = []
        self.rung_s: list[float] = []
        self.alarm = Alarm(self._next_due, LoopClock(), self._ring)

    async def _next_due(self, now_ms: int) -> int | None:
        self.asked.append(now_ms)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _ring(self) -> None:
        self.rung_s.append(asyncio.get_running_loop().time())


def at(s: float) -> int:
    """Return the time of the clock so long after the beginning, in ms."""
    return 1_700_000_000_000 + round(s * 1000)


@in_no_time
async def test_it_rings_when_something_becomes_due() -> None:
    trial = Trial(at(5))
    trial.alarm.set_anew(at(0))
    await asyncio.sleep(10)
    assert trial.rung_s == [5]


@in_no_time
async def test_it_rings_at_once_for_what_is_due_already() -> None:
    trial = Trial(at(1))
    await asyncio.sleep(2)
    trial.alarm.set_anew(at(0))
    await asyncio.sleep(0.001)
    assert trial.rung_s == [2]


@in_no_time
async def test_it_asks_for_the_earliest_time_that_somebody_looked() -> None:
    trial = Trial(None)
    for s in (5, 3, 4):
        trial.alarm.set_anew(at(s))
    await asyncio.sleep(PAUSE_S / 2)
    for s in (9, 7, 8):
        trial.alarm.set_anew(at(s))
    await asyncio.sleep(1)
    assert trial.asked == [at(3), at(7)]


@in_no_time
async def test_the_last_answer_counts() -> None:
    trial = Trial(at(5), at(8), None)
    for _ in range(2):
        trial.alarm.set_anew(at(0))
        await asyncio.sleep(1)
    await asyncio.sleep(5)
    assert trial.rung_s == []
    trial.alarm.set_anew(at(0))
    await asyncio.sleep(5)
    assert trial.rung_s == []


@in_no_time
async def test_a_store_that_says_too_late_what_is_due_is_not_asked_all_the_time() -> None:
    trial = Trial(at(0))
    trial.alarm.set_anew(at(0))
    for _ in range(1000):
        await asyncio.sleep(0.01)
        trial.alarm.set_anew(at(0))
    assert len(trial.rung_s) <= 2 + 10 / STALE_S


@in_no_time
async def test_a_store_that_does_not_answer_is_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trial = Trial(StorageUnavailable("away"), StorageUnavailable("away"), at(5))
    trial.alarm.set_anew(at(0))
    await asyncio.sleep(6)
    assert trial.asked == [at(0)] * 3
    assert trial.rung_s == [5]
    assert caplog.messages == ["asking what becomes due failed: away"] * 2


@in_no_time
async def test_it_is_silent_once_it_was_stopped() -> None:
    trial = Trial(at(5))
    trial.alarm.set_anew(at(0))
    await asyncio.sleep(1)
    trial.alarm.stop()
    trial.alarm.set_anew(at(0))
    await asyncio.sleep(10)
    assert trial.rung_s == []
    assert trial.asked == [at(0)]
