"""`python -m bench http`: workloads against a server, each in turns with its ceiling."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import credentials, service
from bench.beside import Figures, in_turns, middle, ratios
from bench.client import LoadFailed
from bench.measure import Plan, Target, measure, measure_bare
from bench.options import plan_of
from bench.processes import children, resident_bytes
from bench.report import progress
from bench.stores import Store, running_store
from bench.volume import bytes_per_message
from bench.workloads import WORKLOADS, names

#: What is measured in the same turns: the server, and one whose store is on the load's cores.
_OURS, _APART = "ours", "apart"

#: What the fill may claim at once; workloads claim ten at the most.
PER_CLAIM = 1000

#: Settings that differ from the defaults.
SETTINGS: Mapping[str, str] = {"NUSKU_MAX_MESSAGES_PER_CLAIM_OR_POP": str(PER_CLAIM)}


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """Measure what the flags ask for. Raises: LoadFailed."""
    if flags.apart and not flags.start:
        raise LoadFailed("--apart needs a store of its own: --start")
    with tempfile.TemporaryDirectory(prefix="nusku-bench-", dir=flags.folder) as name:
        folder = Path(name)
        with service.bare(
            folder / "bare", workers=flags.workers, cores=flags.server_cores
        ) as bare:
            results = [
                _beside(workload, Target(bare.host, bare.workers), flags, folder / workload)
                for workload in _workloads(flags)
            ]
        document: dict[str, Any] = {"storage": flags.start, "results": results}
        if flags.start and flags.memory and flags.auth == "none":
            document["memory"] = _memory(flags, folder / "memory")
        return document


def _beside(
    workload: str, bare: Target, flags: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """Measure a workload in turns with the bare request that it is compared with."""
    kind = WORKLOADS[workload].ceiling
    plan = plan_of(flags, per_claim=_per_claim(flags))
    ceiling = partial(measure_bare, kind, bare, plan_of(flags, rate=None))
    with _targets(flags, folder) as targets:
        found = in_turns(
            flags.rounds,
            {"bare": ceiling}
            | {
                name: partial(measure, workload, target, plan)
                for name, target in targets.items()
            },
        )
    progress(f"bare {kind}", middle(found["bare"]))
    result = _result(workload, found[_OURS], found["bare"])
    if _APART in found:
        apart = _result(f"{workload}, apart", found[_APART], found["bare"])
        result["apart"] = apart
        for figure in ("per_s", "ratio", "cpu_ratio"):
            result[f"apart_{figure}"] = apart.get(figure, "")
    return {**result, "ceiling": middle(found["bare"]), "ceiling_kind": kind}


def _result(name: str, found: Sequence[Figures], ceilings: Sequence[Figures]) -> Figures:
    rounds = [
        {"per_s": one["per_s"], "bare_per_s": bare["per_s"]}
        for one, bare in zip(found, ceilings, strict=True)
    ]
    result = {**middle(found), **ratios(found, ceilings), "rounds": rounds}
    progress(name, result)
    return result


@contextmanager
def _targets(flags: argparse.Namespace, folder: Path) -> Iterator[Mapping[str, Target]]:
    """Start servers, or take the one at `--url`; `--pid` is its master, if it is near."""
    if not flags.start:
        yield {_OURS: _running(flags)}
        return
    places = {_OURS: flags.store_cores}
    if flags.apart:
        places[_APART] = flags.load_cores
    with ExitStack() as stack:
        targets = {}
        for name, cores in places.items():
            server, store = stack.enter_context(started(flags, folder / name, cores))
            targets[name] = Target(
                server.host,
                server.workers,
                store.pids,
                headers=credentials.headers(flags.auth, server.host),
            )
        yield targets


def _workloads(flags: argparse.Namespace) -> Sequence[str]:
    """Return what to measure; a credential is for one project, and `mixed` has many."""
    chosen = names(flags.workload)
    if flags.auth == "none":
        return chosen
    if not flags.start:
        raise LoadFailed("--auth needs a server of its own: --start")
    return [name for name in chosen if name != "mixed"]


def _running(flags: argparse.Namespace) -> Target:
    parts = urlsplit(flags.url)
    if parts.scheme != "http" or not parts.hostname:
        raise LoadFailed("--url must be like http://host:port")
    workers = children(flags.pid) if flags.pid else ()
    return Target(f"{parts.hostname}:{parts.port or 80}", workers)


def _per_claim(flags: argparse.Namespace) -> int:
    """Return how many messages the fill may claim at once: of our own server, very many."""
    return PER_CLAIM if flags.start else Plan().per_claim


@contextmanager
def started(
    flags: argparse.Namespace, folder: Path, store_cores: Collection[int]
) -> Iterator[tuple[service.Service, Store]]:
    """Start a fresh store and a Nusku on it."""
    running = running_store(
        flags.start, folder / "store", cores=store_cores, fsync=flags.redis_fsync
    )
    with (
        running as store,
        service.nusku(
            folder / "nusku",
            store.url,
            workers=flags.workers,
            cores=flags.server_cores,
            settings={**SETTINGS, **credentials.settings(flags.auth, folder)},
        ) as server,
    ):
        yield server, store


def _memory(flags: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the memory of an idle worker, and what a stored message takes."""
    with started(flags, folder, flags.store_cores) as (server, store):
        idle = [resident_bytes(pid) for pid in server.workers]
        return {
            "idle_worker_mb": round(max(idle) / 1e6, 1),
            "bytes_per_message": bytes_per_message(server, store, flags.body_bytes),
            "body_bytes": flags.body_bytes,
        }
