"""`python -m bench authentication`: what it costs that requests prove who sends them.

Three servers, each with a store of its own, take turns: one believes everybody, one wants a
JSON Web Token, one is sent an application token.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench import credentials, service
from bench.beside import Figures, in_turns, middle
from bench.http import SETTINGS
from bench.measure import Target, measure
from bench.options import plan_of
from bench.report import progress
from bench.stores import running_store

_WORKLOADS = ("post-1",)


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """Measure each workload with each kind of credential. Raises: LoadFailed."""
    with (
        tempfile.TemporaryDirectory(prefix="nusku-bench-", dir=flags.folder) as name,
        ExitStack() as stack,
    ):
        targets = {
            kind: _started(stack, kind, flags, Path(name) / kind) for kind in credentials.KINDS
        }
        found = []
        for workload in flags.workload or _WORKLOADS:
            measures = {
                kind: partial(measure, workload, target, plan_of(flags))
                for kind, target in targets.items()
            }
            windows = in_turns(flags.rounds, measures)
            for kind in credentials.KINDS:
                result = compared(windows[kind], windows["none"])
                progress(f"{workload} {kind}", result)
                found.append({**result, "storage": flags.start, "auth": kind})
    return {"authentication": found}


def _started(stack: ExitStack, kind: str, flags: argparse.Namespace, folder: Path) -> Target:
    store = stack.enter_context(
        running_store(
            flags.start, folder / "store", cores=flags.store_cores, fsync=flags.redis_fsync
        )
    )
    server = stack.enter_context(
        service.nusku(
            folder / "nusku",
            store.url,
            workers=flags.workers,
            cores=flags.server_cores,
            settings={**SETTINGS, **credentials.settings(kind, folder)},
        )
    )
    headers = credentials.headers(kind, server.host)
    return Target(server.host, server.workers, store.pids, headers=headers)


def compared(found: Sequence[Figures], without: Sequence[Figures]) -> Figures:
    """Return the middle of the windows, and the medians of their ratios, turn by turn."""
    pairs = list(zip(found, without, strict=True))

    def times(figure: str) -> float:
        return round(median([float(one[figure] / other[figure]) for one, other in pairs]), 3)

    cpu = "server_cpu_us_per_request"
    return {**middle(found), "times": times("per_s"), "cpu_times": times(cpu)}
