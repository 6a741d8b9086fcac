"""`python -m bench profile`: the functions of a worker that take the most time (py-spy)."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from bench.client import LoadFailed
from bench.http import started
from bench.measure import Target, measure
from bench.options import plan_of
from bench.report import progress
from bench.workloads import names

_SHOWN = 40
_SAMPLES_PER_S = 250


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """Print the functions by their own time and with what they call. Raises: LoadFailed."""
    spy = shutil.which("py-spy")
    if spy is None:
        raise LoadFailed("py-spy is not installed: pip install py-spy")
    with tempfile.TemporaryDirectory(prefix="nusku-bench-", dir=flags.folder) as name:
        folder = Path(name)
        profiles = {}
        for workload in names(flags.workload):
            profiles[workload] = _profile(flags, workload, folder / workload, spy)
        return {"profiles": profiles}


def _profile(
    flags: argparse.Namespace, workload: str, folder: Path, spy: str
) -> dict[str, dict[str, float]]:
    with started(flags, folder, flags.store_cores) as (server, _):
        stacks = folder / "stacks"
        seconds = max(1, round(flags.duration))
        command = [
            *(spy, "record", "--pid", str(server.workers[0]), "--gil"),
            *("--format", "raw", "--output", str(stacks), "--function"),
            *("--duration", str(seconds), "--rate", str(_SAMPLES_PER_S)),
        ]
        start = threading.Timer(flags.warmup, subprocess.run, [command], {"check": True})
        start.start()
        plan = plan_of(flags, duration_s=flags.duration + 1, per_claim=1000)
        progress(workload, measure(workload, Target(server.host, server.workers), plan))
        start.join()
    return _shares(stacks)


def _shares(stacks: Path) -> dict[str, dict[str, float]]:
    """Return the share of samples in each function: its own, and with what it calls."""
    own, total, samples = Counter[str](), Counter[str](), 0
    for line in stacks.read_text().splitlines():
        text, _, number = line.rpartition(" ")
        frames, count = text.split(";"), int(number)
        own[frames[-1]] += count
        total.update(dict.fromkeys(frames, count))
        samples += count
    shares = {}
    for title, counted in (("own", own), ("total", total)):
        shares[title] = {
            name: round(count / samples, 4) for name, count in counted.most_common(_SHOWN)
        }
        print(f"\n{title}")
        for name, share in shares[title].items():
            print(f"{share:7.1%}  {name}")
    return shares
