"""What is said of latencies."""

from __future__ import annotations

import pytest

from bench.latency import Latencies, percentile


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 500), (99, 990), (99.9, 999), (100, 1000), (0, 1)]
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    percent: float, expected: int
) -> None:
    assert percentile(range(1, 1001), percent) == expected


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 99.9) == 7.0


def test_a_summary_is_in_milliseconds_and_knows_no_order() -> None:
    summary = Latencies([0.004, 0.001, 0.003, 0.002]).summary()
    assert summary == {
        "mean_ms": 2.5,
        "p50_ms": 2.0,
        "p99_ms": 4.0,
        "p99_9_ms": 4.0,
        "max_ms": 4.0,
    }


def test_nothing_is_said_of_no_latencies() -> None:
    assert Latencies().summary() == {}
