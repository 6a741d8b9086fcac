"""`python -m bench http`: workloads against a server, each beside its ceiling."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
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
    with tempfile.TemporaryDirectory(prefix="nusku-bench-", dir=flags.folder) as name:
        folder = Path(name)
        with service.bare(
            folder / "bare", workers=flags.workers, cores=flags.server_cores
        ) as bare:
            results = [
                _beside(workload, Target(bare.host, bare.workers), flags, folder / workload)
                for workload in names(flags.workload)
            ]
        document: dict[str, Any] = {"storage": flags.start, "results": results}
        if flags.start and flags.memory:
            document["memory"] = _memory(flags, folder / "memory")
        return document


def _beside(
    workload: str, bare: Target, flags: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """Measure the bare request that a workload is compared with, and then the workload.

    One right after the other, since machines change their speed from minute to minute.
    """
    kind = WORKLOADS[workload].ceiling
    ceiling = measure_bare(kind, bare, plan_of(flags, rate=None))
    progress(f"bare {kind}", ceiling)
    with _target(flags, folder) as target:
        found = measure(workload, target, plan_of(flags, per_claim=_per_claim(flags)))
    found.update(ceiling=ceiling, ceiling_kind=kind, **ratios(found, ceiling))
    progress(workload, found)
    return found


def ratios(found: dict[str, Any], ceiling: dict[str, Any]) -> dict[str, float]:
    """Return how many operations fit into the room of a bare request: by count and by CPU.

    The latter takes the processor time of the server and its store for an operation; it is
    steadier when others use the machine. Counting makes no sense at a fixed rate.
    """
    spent = found["server_cpu_us_per_request"] + found["store_cpu_us_per_request"]
    spent *= found["requests"] / max(found["operations"], 1)
    shown = {}
    if found["loop"] == "closed":
        shown["ratio"] = round(found["per_s"] / ceiling["per_s"], 3)
    if spent:
        shown["cpu_ratio"] = round(ceiling["server_cpu_us_per_request"] / spent, 3)
    return shown


@contextmanager
def _target(flags: argparse.Namespace, folder: Path) -> Iterator[Target]:
    """Start a server, or take the one at `--url`; `--pid` is its master, if it is near."""
    if flags.start:
        with started(flags, folder) as (server, store):
            yield Target(server.host, server.workers, store.pids)
        return
    parts = urlsplit(flags.url)
    if parts.scheme != "http" or not parts.hostname:
        raise LoadFailed("--url must be like http://host:port")
    workers = children(flags.pid) if flags.pid else ()
    yield Target(f"{parts.hostname}:{parts.port or 80}", workers)


def _per_claim(flags: argparse.Namespace) -> int:
    """Return how many messages the fill may claim at once: of our own server, very many."""
    return 1000 if flags.start else Plan().per_claim


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


def _memory(flags: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the memory of an idle worker, and what a stored message takes."""
    with started(flags, folder) as (server, store):
        idle = [resident_bytes(pid) for pid in server.workers]
        return {
            "idle_worker_mb": round(max(idle) / 1e6, 1),
            "bytes_per_message": bytes_per_message(server, store, flags.body_bytes),
            "body_bytes": flags.body_bytes,
        }
