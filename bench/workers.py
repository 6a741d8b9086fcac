"""`python -m bench workers`: two workers on two cores beside one worker on one core.

With two cores there is none left for the load and the store, so what those use is taken off:
what is compared is the throughput for each core that was free for the workers.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench import service
from bench.beside import Figures, in_turns
from bench.http import SETTINGS
from bench.measure import Target, measure
from bench.options import KINDS, plan_of
from bench.report import progress
from bench.stores import running_store

WORKERS = 2

_WORKLOADS = ("post-1", "claim-10", "list-10", "get")


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """Measure each store and each workload. Raises: LoadFailed."""
    with tempfile.TemporaryDirectory(prefix="nusku-bench-", dir=flags.folder) as name:
        found = [
            _both(kind, workload, flags, Path(name) / f"{kind}-{workload}")
            for kind in flags.start or KINDS
            for workload in flags.workload or _WORKLOADS
        ]
    return {"scaling": found}


def _both(kind: str, workload: str, flags: argparse.Namespace, folder: Path) -> Figures:
    first, second = flags.server_cores, flags.load_cores
    both = sorted({*first, *second})
    alone, shared = plan_of(flags), plan_of(flags, load_cores=both)
    with ExitStack() as stack:
        one = stack.enter_context(_server(kind, folder / "one", 1, first, second))
        two = stack.enter_context(_server(kind, folder / "two", WORKERS, both, both))
        found = in_turns(
            flags.rounds,
            {
                "one": partial(measure, workload, one, alone),
                "two": partial(measure, workload, two, shared),
            },
        )
    for name, windows in found.items():
        progress(f"{kind} {workload} {name}", windows[0])
    return {"workload": workload, "storage": kind, **scaled(found["one"], found["two"])}


@contextmanager
def _server(
    kind: str, folder: Path, workers: int, cores: Collection[int], others: Collection[int]
) -> Iterator[Target]:
    """Start a server on its cores, with its store on the cores of the load."""
    with (
        running_store(kind, folder, cores=others) as store,
        service.nusku(
            folder / "nusku", store.url, workers=workers, cores=cores, settings=SETTINGS
        ) as server,
    ):
        yield Target(server.host, server.workers, store.pids, cores)


def scaled(one: Sequence[Figures], two: Sequence[Figures]) -> Figures:
    """Return how much two workers would do with two free cores, for what one does with one.

    A core is free for workers as far as nobody else uses it: neither the load nor the store
    nor others. What the workers leave idle counts against them. The median of the rounds.
    """
    times = [
        WORKERS * for_a_free_core(second, WORKERS) / for_a_free_core(first, 1)
        for first, second in zip(one, two, strict=True)
    ]
    return {
        "one_per_s": median(found["per_s"] for found in one),
        "two_per_s": median(found["per_s"] for found in two),
        "two_free_cores": round(median(free_cores(found, WORKERS) for found in two), 2),
        "scaling": round(median(times), 2),
        "one_busy": median(found["server_busy"] for found in one),
        "two_busy": median(found["server_busy"] for found in two),
        "others_busy": max(found["others_busy"] for found in (*one, *two)),
    }


def for_a_free_core(found: Figures, cores: int) -> float:
    """Return the operations a second for each core that was free for the workers."""
    return float(found["per_s"] / free_cores(found, cores))


def free_cores(found: Figures, cores: int) -> float:
    """Return how many of the cores of the workers nobody else used."""
    return float(cores - (found["cores_busy"] - found["server_busy"]))
