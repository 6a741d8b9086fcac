"""`python -m bench compare`: Zaqar and Nusku, one after the other, each on a fresh Redis."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from bench import service, zaqar
from bench.measure import Plan, Target, measure
from bench.options import plan_of
from bench.processes import resident_bytes
from bench.report import progress
from bench.stores import running_store
from bench.volume import bytes_per_message
from bench.workloads import names

#: Zaqar is slower by so much that this share of a stock of messages lasts it as long.
ZAQAR_STOCK_SHARE = 0.1


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """Measure both and print the ratios. Raises: LoadFailed."""
    environment = flags.environment.absolute()
    commands = zaqar.install(flags.zaqar, environment)
    versions = zaqar.installed(commands)
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    with tempfile.TemporaryDirectory(prefix="nusku-bench-", dir=flags.folder) as name:
        folder = Path(name)
        results = [_both(flags, one, folder / one, commands) for one in names(flags.workload)]
        memory = _memories(flags, folder, commands)
    return {"zaqar": versions, "comparison": results, "memory": memory}


def _both(
    flags: argparse.Namespace, workload: str, folder: Path, commands: Path
) -> dict[str, Any]:
    slow = plan_of(flags, stock_share=ZAQAR_STOCK_SHARE)
    theirs = _measure(flags, workload, folder / "zaqar", slow, commands)
    ours = _measure(flags, workload, folder / "nusku", plan_of(flags), None)
    found = {"workload": workload, "nusku": ours, "zaqar": theirs, **_times(ours, theirs)}
    print(f"{workload:<10} {found['times']} x, {found['times_by_cpu']} x by CPU", flush=True)
    return found


def _times(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """Return how many times as much we do: as counted, and for the same processor time."""
    costs = [
        one["server_cpu_us_per_request"] + one["store_cpu_us_per_request"]
        for one in (theirs, ours)
    ]
    return {
        "nusku_per_s": ours["per_s"],
        "zaqar_per_s": theirs["per_s"],
        "times": round(ours["per_s"] / max(theirs["per_s"], 0.1), 1),
        "times_by_cpu": round(costs[0] / max(costs[1], 0.1), 1),
        "others_busy": max(ours["others_busy"], theirs["others_busy"]),
    }


def _measure(
    flags: argparse.Namespace, workload: str, folder: Path, plan: Plan, commands: Path | None
) -> dict[str, Any]:
    """Measure Zaqar if there are `commands` of it, else Nusku."""
    cores, fsync = flags.store_cores, flags.redis_fsync
    with (
        running_store("redis", folder / "store", cores=cores, fsync=fsync) as store,
        _server(flags, folder / "server", store.url, commands) as server,
    ):
        found = measure(workload, Target(server.host, server.workers, store.pids), plan)
    progress("zaqar" if commands else "nusku", found)
    return found


def _server(
    flags: argparse.Namespace, folder: Path, url: str, commands: Path | None
) -> service.Service:
    if commands is None:
        return service.nusku(folder, url, cores=flags.server_cores)
    return zaqar.zaqar(commands, folder, url, cores=flags.server_cores)


def _memories(flags: argparse.Namespace, folder: Path, commands: Path) -> dict[str, Any]:
    """Return for both the memory of an idle worker and what a stored message takes."""
    found: dict[str, Any] = {}
    for name, place in (("zaqar", commands), ("nusku", None)):
        with (
            running_store("redis", folder / f"{name}-store") as store,
            _server(flags, folder / name, store.url, place) as server,
        ):
            idle = max(resident_bytes(pid) for pid in server.workers)
            found[f"{name}_idle_worker_mb"] = round(idle / 1e6, 1)
            found[f"{name}_bytes_per_message"] = bytes_per_message(
                server, store, flags.body_bytes
            )
    return found
