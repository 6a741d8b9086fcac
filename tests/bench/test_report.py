"""The shapes of what a run leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bench.latency import Latencies
from bench.measure import Usage, figures
from bench.picture import Bar, draw
from bench.report import document, save, tables
from bench.window import Measured

_BEFORE = Usage(1.0, 2.0, 3.0, 10.0, 5, 4.0)
_AFTER = Usage(1.5, 2.2, 3.4, 12.0, 4005, 5.0)


def _figures() -> dict[str, Any]:
    measured = Measured(1000, 2.0, Latencies([0.001, 0.003]), _BEFORE, _AFTER, ran_dry=False)
    return {"workload": "cycle", **figures(measured, steps=2)}


def test_processor_time_is_divided_by_requests_and_not_by_operations() -> None:
    found = _figures()
    assert found["per_s"] == 500
    assert found["server_cpu_us_per_request"] == 250
    assert found["store_cpu_us_per_request"] == 100
    assert found["switches_per_request"] == 2


def test_processor_time_of_others_is_what_nobody_of_ours_used() -> None:
    found = _figures()
    assert found["server_busy"] == 0.25
    assert found["load_busy"] == 0.2
    assert found["others_busy"] == 0.45
    assert found["cores_busy"] == 0.5


def test_a_document_can_be_kept_and_names_no_machine(tmp_path: Path) -> None:
    flags = {"command": "http", "json": tmp_path / "x.json", "server_cores": [0]}
    save(tmp_path / "deep" / "x.json", document("http", flags, {"results": [_figures()]}))
    kept = json.loads((tmp_path / "deep" / "x.json").read_text())
    assert kept["results"][0]["latency"]["p99_ms"] == 3.0
    assert set(kept["machine"]) == {"cores", "cpu", "system", "python"}
    assert kept["date"].endswith("Z")


def test_a_table_has_a_row_for_each_workload_with_or_without_a_ratio() -> None:
    lines = tables({"results": [_figures(), {**_figures(), "ratio": 0.5}]}).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "| 0.5 |" in lines[3]


def test_a_table_leaves_out_what_nothing_was_measured_of() -> None:
    head = tables({"results": [{**_figures(), "ratio": 0.5}, _figures()]}).splitlines()[0]
    assert "| x bare |" in head
    assert "apart" not in head


def test_a_picture_is_drawn_to_scale_and_escapes_names() -> None:
    picture = draw(
        "a < b", [Bar("one", 10, "10/s"), Bar("<two>", 5, "5/s"), Bar("none", 0, "")]
    )
    root = ElementTree.fromstring(picture)
    widths = [float(e.attrib["width"]) for e in root if e.attrib.get("fill") == "#3465a4"]
    assert widths[0] == 2 * widths[1]
    assert "<two>" in [e.text for e in root]
