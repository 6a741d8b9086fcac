"""The arithmetic of what is measured in turns."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from bench.beside import in_turns, middle, ratios
from bench.budget.processor import cpu_us
from bench.depth import compared
from bench.workers import free_cores, scaled


def _figures(per_s: float, **more: Any) -> dict[str, Any]:
    return {
        "per_s": per_s,
        "loop": "closed",
        "operations": 100,
        "requests": 100,
        "server_cpu_us_per_request": 10.0,
        "store_cpu_us_per_request": 0.0,
        "others_busy": 0.0,
        **more,
    }


def _window(p50_ms: float, p99_ms: float, **more: Any) -> dict[str, Any]:
    return {
        "latency": {"p50_ms": p50_ms, "p99_ms": p99_ms},
        "own_lag": {"p99_ms": 0.1},
        "others_busy": 0.0,
        "ran_dry": False,
        **more,
    }


def test_turns_are_taken_round_by_round() -> None:
    order: list[str] = []

    def measure(name: str) -> dict[str, Any]:
        order.append(name)
        return {"number": len(order)}

    found = in_turns(2, {name: partial(measure, name) for name in "ab"})
    assert order == ["a", "b", "a", "b"]
    assert found == {"a": [{"number": 1}, {"number": 3}], "b": [{"number": 2}, {"number": 4}]}


def test_the_middle_round_is_shown_with_the_worst_disturbance_of_all() -> None:
    found = [_figures(9, others_busy=0.5), _figures(1), _figures(5)]
    assert middle(found)["per_s"] == 5
    assert middle(found)["others_busy"] == 0.5


def test_a_ratio_is_the_median_of_the_ratios_of_each_round() -> None:
    found = [_figures(50), _figures(10), _figures(30)]
    ceilings = [_figures(100), _figures(100), _figures(40)]
    assert ratios(found, ceilings)["ratio"] == 0.5


def test_a_ratio_by_cpu_counts_the_store_and_every_request_of_an_operation() -> None:
    found = [_figures(1, store_cpu_us_per_request=10.0, requests=300)]
    assert ratios(found, [_figures(1, server_cpu_us_per_request=30.0)])["cpu_ratio"] == 0.5


def test_at_a_fixed_rate_or_without_processes_there_is_no_ratio() -> None:
    found = [_figures(1, loop="open", server_cpu_us_per_request=0.0)]
    assert ratios(found, [_figures(1)]) == {}


def test_processor_time_of_rounds_is_added_up_before_it_is_divided() -> None:
    rounds = [_figures(1, requests=300), _figures(1, server_cpu_us_per_request=0.0)]
    assert cpu_us(rounds) == 7.5


def test_depth_compares_the_medians_of_the_windows() -> None:
    found = compared(
        {
            "empty": [_window(1, 2), _window(1, 2), _window(1, 90)],
            "queued": [_window(1, 3, ran_dry=True), _window(2, 80), _window(2, 3)],
        }
    )
    assert found["empty_p99_ms"] == 2
    assert found["queued_p99_times"] == 1.5
    assert found["queued_p50_times"] == 2
    assert found["ran_dry"]


def test_a_core_is_free_as_far_as_nobody_but_the_workers_uses_it() -> None:
    found = _figures(1, cores_busy=1.9, server_busy=1.2)
    assert free_cores(found, 2) == pytest.approx(1.3)


def test_workers_scale_by_what_they_do_for_each_free_core() -> None:
    one = _figures(1000, cores_busy=1.0, server_busy=1.0)
    # Of two cores the load takes half of one: three quarters as fast as with both.
    two = _figures(1500, cores_busy=2.0, server_busy=1.5)
    assert scaled([one], [two])["scaling"] == 2.0
    idle = _figures(1500, cores_busy=1.5, server_busy=1.5)
    assert scaled([one], [idle])["scaling"] == 1.5
