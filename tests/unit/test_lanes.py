"""Lanes: when somebody looks again, and how rarely a receiver that is away is tried."""

from __future__ import annotations

import pytest

from queues import lanes
from queues.lanes import FAILURES_IN_A_ROW, Lane
from queues.model import Record, RecordKind

NOW_MS = 1_000_000
LANE = Lane(after="k1")


def record(lane: Lane, due_ms: int | None) -> Record:
    return Record(RecordKind.LANE, "q", "s", lane.document(), 1, due_ms=due_ms)


def test_a_lane_at_rest_is_due_when_it_is_rung() -> None:
    rung = lanes.rung(record(LANE, None), NOW_MS)
    assert rung is not None
    assert (rung.due_ms, lanes.read(rung)) == (NOW_MS, LANE)


def test_a_lane_that_waits_for_a_delay_is_due_when_it_is_rung() -> None:
    waiting = LANE._replace(waits_until_ms=NOW_MS + 500)
    rung = lanes.rung(record(waiting, NOW_MS + 500), NOW_MS)
    assert rung is not None
    assert (rung.due_ms, lanes.read(rung)) == (NOW_MS, LANE)


def test_a_lane_that_is_worked_on_keeps_its_lease_and_is_told_once() -> None:
    for lane in (LANE, LANE._replace(waits_until_ms=NOW_MS - 1)):
        rung = lanes.rung(record(lane, NOW_MS + 30_000), NOW_MS)
        assert rung is not None
        assert rung.due_ms == NOW_MS + 30_000
        assert lanes.read(rung).rung
        assert lanes.rung(rung, NOW_MS) is None


@pytest.mark.parametrize(
    ("lane", "due_ms"),
    [
        (LANE, NOW_MS),
        (LANE, NOW_MS - 1),
        (LANE._replace(quiet_until_ms=NOW_MS + 500), NOW_MS + 500),
    ],
)
def test_a_lane_that_looks_anyway_is_left_alone(lane: Lane, due_ms: int) -> None:
    assert lanes.rung(record(lane, due_ms), NOW_MS) is None


def test_a_post_is_passed_as_a_whole_or_in_parts() -> None:
    part = LANE.passed("k2", 3, 5)
    assert (part.after, part.part, part.done) == ("k1", "k2", 3)
    assert part.passed("k2", 5, 5) == Lane(after="k2")
    assert LANE.passed("k2", 1, 1) == Lane(after="k2")


def test_a_receiver_that_fails_is_tried_less_and_less_often() -> None:
    lane, pauses = LANE, []
    for _ in range(FAILURES_IN_A_ROW + 12):
        lane = lane.failed(1, NOW_MS)
        pauses.append(max(0, lane.quiet_until_ms - NOW_MS) // 1000)
    assert pauses[: FAILURES_IN_A_ROW - 1] == [0] * (FAILURES_IN_A_ROW - 1)
    grown = [5, 10, 20, 40, 80, 160, 320]
    assert pauses[FAILURES_IN_A_ROW - 1 :] == [*grown, *[600] * 6]
    assert lane.is_failing
    assert lane.succeeded() == LANE


def test_a_lane_is_read_as_it_was_written() -> None:
    lane = Lane("k1", "k2", 3, 4, 5, 6, rung=True)
    assert lanes.read(record(lane, None)) == lane
