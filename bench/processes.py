"""What the kernel says of processes: their cores, children, processor time and memory."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@contextmanager
def pinned(cores: Collection[int]) -> Iterator[None]:
    """Run the block, and whatever it starts for good, on these cores; none means any."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def children(pid: int) -> list[int]:
    """Return the direct children of a process, of all its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Return the processor time that the processes have used, in user and kernel mode."""
    return sum(_ticks(pid) for pid in pids) / _TICKS


def switches(pids: Iterable[int]) -> int:
    """Return how often threads of the processes gave up a core, or had to."""
    found = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            lines = (task / "status").read_text().splitlines()
            found += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return found


def machine_cpu_s(cores: Collection[int] = ()) -> float:
    """Return the processor time that anybody has used of these cores; without any, of all."""
    names = {f"cpu{core}" for core in cores} or {"cpu"}
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    return sum(_busy_ticks(line[1:9]) for line in lines if line[0] in names) / _TICKS


def _busy_ticks(fields: Sequence[str]) -> int:
    user, nice, system, _idle, _iowait, *rest = fields
    return sum(int(ticks) for ticks in (user, nice, system, *rest))


def _ticks(pid: int) -> int:
    # The name in parentheses may hold anything, also spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, shared pages included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def machine() -> dict[str, object]:
    """Return what a reader needs to know of the machine, and nothing that names it."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
