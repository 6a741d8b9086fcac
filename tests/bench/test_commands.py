"""The command line of the benchmarks, and what needs no server to run."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from bench import table
from bench.client import LoadFailed
from bench.http import run
from bench.options import parser, plan_of
from bench.report import document, save


def test_kept_figures_become_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"storage": "redis", "workload": "get", "one_per_s": 1000.0, "two_per_s": 1800.0}
    save(tmp_path / "kept.json", document("workers", {}, {"scaling": [figures]}))
    table.run(argparse.Namespace(files=[tmp_path / "kept.json"]))
    printed = capsys.readouterr().out
    assert "### kept (" in printed
    assert "| redis | get | 1,000 | 1,800 |" in printed


def test_depth_is_measured_at_a_fixed_rate_with_a_million_messages() -> None:
    flags = parser().parse_args(["depth"])
    assert flags.deep == 1_000_000
    assert plan_of(flags).rate == 300
    assert not flags.start


def test_a_store_that_runs_elsewhere_cannot_be_put_apart() -> None:
    flags = parser().parse_args(["http", "--url", "http://127.0.0.1:1", "--apart"])
    with pytest.raises(LoadFailed, match="--start"):
        run(flags)


def test_a_plan_follows_the_flags_except_for_what_is_changed() -> None:
    flags = parser().parse_args(["http", "--start", "redis", "--rate", "10", "--queued", "5"])
    plan = plan_of(flags, rate=None, queue="bench-x")
    assert (plan.rate, plan.queued, plan.queue) == (None, 5, "bench-x")
    assert flags.rounds == 3
