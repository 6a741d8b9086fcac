"""What is said of a run: lines while it goes on, a table at the end, a document for later."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.processes import machine

Columns = tuple[tuple[str, str], ...]

_RESULTS = (
    ("workload", "{workload}"),
    ("per second", "{per_s:,.0f}"),
    ("x bare", "{ratio}"),
    ("x bare by CPU", "{cpu_ratio}"),
    ("apart, per second", "{apart_per_s}"),
    ("apart, x bare", "{apart_ratio}"),
    ("apart, x bare by CPU", "{apart_cpu_ratio}"),
    ("p50 ms", "{p50_ms}"),
    ("p99 ms", "{p99_ms}"),
    ("p99.9 ms", "{p99_9_ms}"),
    ("CPU us/request", "{server_cpu_us_per_request}"),
    ("store us/request", "{store_cpu_us_per_request}"),
    ("others busy", "{others_busy}"),
)
_DEPTH = (
    ("store", "{storage}"),
    ("workload", "{workload}"),
    ("p50 empty, ms", "{empty_p50_ms}"),
    ("queued", "{queued_p50_ms}"),
    ("claimed", "{claimed_p50_ms}"),
    ("p99 empty, ms", "{empty_p99_ms}"),
    ("queued", "{queued_p99_ms}"),
    ("claimed", "{claimed_p99_ms}"),
    ("p99 queued, x empty", "{queued_p99_times}"),
    ("p99 claimed, x empty", "{claimed_p99_times}"),
    ("own lag p99", "{own_lag_p99_ms}"),
    ("others busy", "{others_busy}"),
)
_SCALING = (
    ("store", "{storage}"),
    ("workload", "{workload}"),
    ("1 worker, per second", "{one_per_s:,.0f}"),
    ("2 workers, per second", "{two_per_s:,.0f}"),
    ("cores free for 2", "{two_free_cores}"),
    ("x for a free core", "{scaling}"),
    ("others busy", "{others_busy}"),
)
_NEIGHBOURS = (
    ("store", "{storage}"),
    ("p50 alone, ms", "{alone_p50_ms}"),
    ("limited", "{limited_p50_ms}"),
    ("crowd", "{crowd_p50_ms}"),
    ("unlimited", "{unlimited_p50_ms}"),
    ("p99 alone, ms", "{alone_p99_ms}"),
    ("limited", "{limited_p99_ms}"),
    ("crowd", "{crowd_p99_ms}"),
    ("unlimited", "{unlimited_p99_ms}"),
    ("p99 limited, x alone", "{limited_p99_times}"),
    ("p99 crowd, x alone", "{crowd_p99_times}"),
    ("p99 unlimited, x alone", "{unlimited_p99_times}"),
    ("noisy admitted, per second", "{limited_noisy_admitted_per_s}"),
    ("noisy refused, per second", "{limited_noisy_refused_per_s}"),
    ("crowd refused, per second", "{crowd_noisy_refused_per_s}"),
    ("own lag p99", "{own_lag_p99_ms}"),
    ("others busy", "{others_busy}"),
)
_AUTHENTICATION = (
    ("store", "{storage}"),
    ("workload", "{workload}"),
    ("credential", "{auth}"),
    ("per second", "{per_s:,.0f}"),
    ("x without", "{times}"),
    ("CPU us/request", "{server_cpu_us_per_request}"),
    ("CPU, x without", "{cpu_times}"),
    ("others busy", "{others_busy}"),
)
_WAITERS = (
    ("store", "{storage}"),
    ("wake-up p50, ms", "{wake_p50_ms}"),
    ("p99", "{wake_p99_ms}"),
    ("max", "{wake_max_ms}"),
    ("idle waiters", "{waiters}"),
    ("% of a core without", "{alone_percent}"),
    ("with", "{idle_percent}"),
    ("with, coming back", "{coming_back_percent}"),
    ("bytes each", "{bytes_per_waiter}"),
    ("store asked per second", "{store_queries_per_s}"),
    ("others busy", "{others_busy}"),
)
_COMPARISON = (
    ("workload", "{workload}"),
    ("Zaqar per second", "{zaqar_per_s:,.0f}"),
    ("Nusku per second", "{nusku_per_s:,.0f}"),
    ("times", "{times}"),
    ("times by CPU", "{times_by_cpu}"),
    ("others busy", "{others_busy}"),
)


_TABLES = (
    ("results", _RESULTS),
    ("comparison", _COMPARISON),
    ("depth", _DEPTH),
    ("scaling", _SCALING),
    ("neighbours", _NEIGHBOURS),
    ("authentication", _AUTHENTICATION),
    ("waiters", _WAITERS),
)


def progress(name: str, found: dict[str, Any]) -> None:
    """Print one line on a measurement that has just ended."""
    latency = found["latency"]
    print(
        f"{name:<10} {found['per_s']:>10,.1f}/s  p50 {latency.get('p50_ms', 0):>8.3f}"
        f"  p99 {latency.get('p99_ms', 0):>8.3f}  p99.9 {latency.get('p99_9_ms', 0):>8.3f} ms"
        f"  server {found['server_cpu_us_per_request']:>7.1f} us/request"
        f"  busy {found['server_busy']:.2f}, load {found['load_busy']:.2f},"
        f" others {found['others_busy']:.2f}"
        + (f"  {found['ratio']:.3f} x" if "ratio" in found else "")
        + (f"  {found['cpu_ratio']:.3f} x by CPU" if "cpu_ratio" in found else "")
        + ("  (ran dry)" if found["ran_dry"] else ""),
        flush=True,
    )


def document(command: str, settings: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Return the figures with what they were measured with, ready to be kept."""
    return {
        "command": command,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine(),
        "packages": {name: _version(name) for name in ("nusku", "falcon", "uvicorn", "uvloop")},
        "settings": {name: _plain(value) for name, value in settings.items()},
        **found,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _plain(value: object) -> object:
    # NOTE: a kept document tells nothing of the folders of a machine.
    return value.name if isinstance(value, Path) else value


def tables(content: dict[str, Any]) -> str:
    """Return the results of a run as Markdown."""
    shown = [_table(columns, content[name]) for name, columns in _TABLES if name in content]
    if "memory" in content:
        shown.append("\n".join(f"{name}: {value}" for name, value in content["memory"].items()))
    return "\n\n".join(shown)


def _table(columns: Columns, results: list[dict[str, Any]]) -> str:
    """Return a row for each result, without columns that none of them fills."""
    rows = []
    for result in results:
        shown = defaultdict(str, {**result, **result.get("latency", {})})
        rows.append([form.format_map(shown) for _, form in columns])
    filled = [
        (name, [row[at] for row in rows])
        for at, (name, _) in enumerate(columns)
        if any(row[at] for row in rows)
    ]
    lines = [[name for name, _ in filled], ["---" for _ in filled]]
    lines += [[cells[at] for _, cells in filled] for at in range(len(rows))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a document as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
