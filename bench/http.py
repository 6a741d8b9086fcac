"""`python -m bench http`: workloads against a server, beside the ceiling in the same run."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import service
from bench.client import LoadFailed
from bench.measure import Plan, Target, measure, measure_bare
from bench.options import plan_of
from bench.processes import children, resident_bytes
from bench.report import progress
from bench.stores import Store, running_store
from bench.volume import bytes_per_message
from bench.workloads import WORKLOADS, names


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """Measure what the flags ask for. Raises: LoadFailed."""
    chosen = names(flags.workload)
    with tempfile.TemporaryDirectory(prefix="nusku-bench-", dir=flags.folder) as name:
        folder = Path(name)
        bare = _ceiling(flags, folder / "bare")
        if flags.url:
            return {"ceiling": bare, "results": _at_url(flags, chosen, bare)}
        results = [_started(flags, workload, folder / workload, bare) for workload in chosen]
        document = {"storage": flags.start, "ceiling": bare, "results": results}
        if flags.memory:
            document["memory"] = _memory(flags, folder / "memory")
        return document


def _ceiling(flags: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return what the bare application does with a POST and a GET on the same cores."""
    plan = plan_of(flags, rate=None)
    with service.bare(folder, workers=flags.workers, cores=flags.server_cores) as bare:
        found = {}
        for kind in ("post", "get"):
            found[kind] = measure_bare(kind, Target(bare.host, bare.workers), plan)
            progress(f"bare {kind}", found[kind])
        return found


def _at_url(
    flags: argparse.Namespace, chosen: Sequence[str], bare: dict[str, Any]
) -> list[dict[str, Any]]:
    """Measure a server that runs already; `--pid` is its master, if it is on this machine."""
    parts = urlsplit(flags.url)
    if parts.scheme != "http" or not parts.hostname:
        raise LoadFailed("--url must be like http://host:port")
    workers = children(flags.pid) if flags.pid else ()
    target = Target(f"{parts.hostname}:{parts.port or 80}", workers)
    return [_compared(name, target, plan_of(flags), bare) for name in chosen]


def _started(
    flags: argparse.Namespace, workload: str, folder: Path, bare: dict[str, Any]
) -> dict[str, Any]:
    with started(flags, folder) as (server, store):
        plan = plan_of(flags, per_claim=1000)
        return _compared(workload, Target(server.host, server.workers, store.pids), plan, bare)


@contextmanager
def started(flags: argparse.Namespace, folder: Path) -> Iterator[tuple[service.Service, Store]]:
    """Start a fresh store and a Nusku on it."""
    running = running_store(
        flags.start, folder / "store", cores=flags.store_cores, fsync=flags.redis_fsync
    )
    # The fill claims by the thousand; workloads claim ten at the most.
    settings = {"NUSKU_MAX_MESSAGES_PER_CLAIM_OR_POP": "1000"}
    with (
        running as store,
        service.nusku(
            folder / "nusku",
            store.url,
            workers=flags.workers,
            cores=flags.server_cores,
            settings=settings,
        ) as server,
    ):
        yield server, store


def _compared(
    workload: str, target: Target, plan: Plan, bare: dict[str, Any]
) -> dict[str, Any]:
    """Return the figures of a workload with its ratio to the bare request of its kind."""
    found = measure(workload, target, plan)
    kind = WORKLOADS[workload].ceiling
    if plan.rate is None:
        found["ceiling"] = kind
        found["ratio"] = round(found["per_s"] / bare[kind]["per_s"], 3)
    progress(workload, found)
    return found


def _memory(flags: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the memory of an idle worker, and what a stored message takes."""
    with started(flags, folder) as (server, store):
        idle = [resident_bytes(pid) for pid in server.workers]
        return {
            "idle_worker_mb": round(max(idle) / 1e6, 1),
            "bytes_per_message": bytes_per_message(server, store, flags.body_bytes),
            "body_bytes": flags.body_bytes,
        }
