"""What was recorded of the counts, and how far new ones may be from it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from bench.client import LoadFailed

#: Area, such as `sqlite`; then the workload; then the name of the count.
Recorded = Mapping[str, Mapping[str, Mapping[str, float]]]

FILE = Path(__file__).with_name("budget.toml")
AGAIN = "python -m bench budget --record"

#: Of these not one more is allowed: each is a round trip, a statement or a pass over a body.
EXACT = ("round_trips", "scripts", "commands", "statements", "commits", "heavy_calls")

#: Growth up to this share is allowed for the others.
GROWTH = 0.03

#: What fell by this share should be recorded, so that it does not come back unseen.
GAIN = 0.15

#: Processor time is measured and not counted, so it gets this much.
PROCESSOR_GROWTH = 0.4

#: Other releases of what runs our code count otherwise.
_OF_PYTHON = ("bytecodes", "blocks", "calls", "heavy_calls")
_OF_SQLITE = ("steps",)

_HEAD = f"""\
# What one request costs, counted. A test fails when a count grows; see bench/README.md.
# Recorded by: {AGAIN}
"""

_COUNT_S = 120


class Count(NamedTuple):
    """One count: what was recorded, None if nothing was, and what it is now."""

    area: str
    workload: str
    name: str
    was: float | None
    now: float

    def __str__(self) -> str:
        """Say what changed."""
        if self.was is None:
            return f"{self.area} {self.workload}: {self.name} is {self.now:g}, never recorded"
        change = f" ({self.now / self.was - 1:+.1%})" if self.was else ""
        return (
            f"{self.area} {self.workload}: {self.name} was {self.was:g}, "
            f"is {self.now:g}{change}"
        )

    @property
    def is_over(self) -> bool:
        """Say whether it grew too much."""
        if self.was is None:
            return True
        return self.now > self.was * (1 if self.name in EXACT else 1 + GROWTH)

    @property
    def is_gain(self) -> bool:
        """Say whether it fell so far that it should be recorded."""
        return self.was is not None and self.now < self.was * (1 - GAIN)


def versions() -> dict[str, str]:
    """Return what the counts depend on besides our code and the pinned packages."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"python": python, "sqlite": sqlite3.sqlite_version}


def count() -> Recorded:
    """Count now, in a process that does nothing else. Raises: LoadFailed."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.budget"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=_COUNT_S,
        check=False,
    )
    if done.returncode:
        raise LoadFailed(f"counting failed:\n{done.stderr[-3000:]}")
    found: Recorded = json.loads(done.stdout)
    return found


def compared(recorded: Mapping[str, object], found: Recorded) -> Iterator[Count]:
    """Put what was counted beside what was recorded, where the versions allow it."""
    skipped = skipped_counts(recorded)
    for area, workloads in found.items():
        for workload, counts in workloads.items():
            for name, now in counts.items():
                if name not in skipped:
                    was = _was(recorded, area, workload, name)
                    yield Count(area, workload, name, was, now)


def skipped_counts(recorded: Mapping[str, object]) -> dict[str, str]:
    """Return the counts that do not compare here, each with the reason."""
    here = versions()
    under = recorded.get("versions", here)
    assert isinstance(under, dict)
    return {
        name: f"recorded with {one} {under.get(one)}, this is {here[one]}"
        for one, names in (("python", _OF_PYTHON), ("sqlite", _OF_SQLITE))
        for name in names
        if under.get(one) != here[one]
    }


def _was(recorded: Mapping[str, object], *path: str) -> float | None:
    found: object = recorded
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, int | float) else None


def load(file: Path = FILE) -> dict[str, object]:
    """Return what was recorded; nothing if there is no such file."""
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def save(found: Recorded, processor: Mapping[str, float], file: Path = FILE) -> None:
    """Record the counts and the multiples of processor time."""
    lines = [_HEAD, "[versions]"]
    lines += [f'{name} = "{version}"' for name, version in versions().items()]
    lines += ["", "[processor]  # times the bare application's"]
    lines += [f"{name} = {times}" for name, times in processor.items()]
    for area, workloads in found.items():
        lines += ["", f"[{area}]"]
        for workload, counts in workloads.items():
            fields = ", ".join(f"{name} = {count:g}" for name, count in counts.items())
            lines.append(f'"{workload}" = {{ {fields} }}')
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
