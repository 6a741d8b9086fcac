"""`python -m bench ceiling`: the bare application under this program and under wrk.

When the two agree, this program is fast enough not to be what is measured.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench import service
from bench.ceiling import PATH
from bench.client import LoadFailed
from bench.measure import Target, measure_bare
from bench.options import plan_of
from bench.processes import pinned
from bench.report import progress
from bench.requests import messages_document

_PER_S = re.compile(r"Requests/sec:\s+([\d.]+)")


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """Measure a POST and a GET both ways. Raises: LoadFailed."""
    with tempfile.TemporaryDirectory(prefix="nusku-bench-") as name:
        folder = Path(name)
        with service.bare(folder, workers=flags.workers, cores=flags.server_cores) as server:
            target = Target(server.host, server.workers)
            results = []
            for kind in ("post", "get"):
                found = measure_bare(kind, target, plan_of(flags, rate=None))
                progress(f"bare {kind}", found)
                found["wrk_per_s"] = _wrk(kind, server.host, flags, folder)
                print(f"wrk {kind:<6} {found['wrk_per_s']:>10,.1f}/s", flush=True)
                results.append({**found, "workload": f"bare {kind}"})
            return {"results": results}


def _wrk(kind: str, host: str, flags: argparse.Namespace, folder: Path) -> float:
    """Return the requests a second that wrk brings about; 0 if it is not installed."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return 0.0
    script = folder / "post.lua"
    body = messages_document(1, flags.body_bytes).decode()
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f"wrk.body = [[{body}]]\n"
    )
    options = ["-t1", f"-c{flags.connections}", f"-d{max(1, round(flags.duration))}s"]
    options += ["-s", str(script)] if kind == "post" else []
    with pinned(flags.load_cores):
        done = subprocess.run(
            [wrk, *options, f"http://{host}{PATH}"], capture_output=True, text=True, check=False
        )
    found = _PER_S.search(done.stdout)
    if found is None or "Non-2xx" in done.stdout:
        raise LoadFailed(f"wrk: {done.stdout[-500:]}{done.stderr[-500:]}")
    return float(found[1])
