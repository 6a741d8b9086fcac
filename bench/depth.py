"""`python -m bench depth`: latency at a fixed rate in an empty queue and in deep ones.

The windows take turns (empty, deep, empty, deep), since the 99th percentile of one window is
noisy; what counts is the median of each kind.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from bench import service
from bench.beside import Figures, in_turns
from bench.fill import connect, fill
from bench.http import PER_CLAIM, SETTINGS
from bench.measure import Target, measure
from bench.options import KINDS, plan_of
from bench.processes import pinned
from bench.requests import PREFIX
from bench.stores import running_store
from bench.workloads import WORKLOADS, Scene

#: Messages that wait, and messages that are claimed in front of those that are needed.
_STATES = ("empty", "queued", "claimed")

_WORKLOADS = ("claim-10", "post-1", "list-10")

_QUEUE = f"{PREFIX}deep"

#: More than a claim of ten takes, so that no window runs dry.
_STOCK_PER_OPERATION = 12


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """Measure each store. Raises: LoadFailed."""
    with tempfile.TemporaryDirectory(prefix="nusku-bench-", dir=flags.folder) as name:
        found = [
            one
            for kind in flags.start or KINDS
            for one in _store(kind, flags, Path(name) / kind)
        ]
    return {"depth": found}


def _store(kind: str, flags: argparse.Namespace, folder: Path) -> list[Figures]:
    with ExitStack() as stack:
        targets = {
            state: stack.enter_context(_server(kind, flags, folder / state))
            for state in _STATES
        }
        for state in ("queued", "claimed"):
            _fill(targets[state].host, flags, **{state: flags.deep})
            print(f"{kind}: {flags.deep:,} messages {state}", flush=True)
        return [_workload(name, kind, targets, flags) for name in flags.workload or _WORKLOADS]


@contextmanager
def _server(kind: str, flags: argparse.Namespace, folder: Path) -> Iterator[Target]:
    """Start a store of its own for each state, so that the empty one is empty altogether."""
    with (
        running_store(kind, folder, cores=flags.store_cores, fsync=flags.redis_fsync) as store,
        service.nusku(
            folder / "nusku", store.url, cores=flags.server_cores, settings=SETTINGS
        ) as server,
    ):
        yield Target(server.host, server.workers, store.pids)


def _fill(host: str, flags: argparse.Namespace, *, claimed: int = 0, queued: int = 0) -> None:
    async def filled() -> None:
        client = await connect(host)
        scene = Scene(host, _QUEUE, flags.body_bytes)
        await fill(client, scene, claimed=claimed, queued=queued, per_claim=PER_CLAIM)
        client.close()

    with pinned(flags.load_cores):
        uvloop.run(filled())


def _workload(
    name: str, kind: str, targets: Mapping[str, Target], flags: argparse.Namespace
) -> Figures:
    share = 0.0
    if WORKLOADS[name].stock_per_s:
        share = flags.rate * _STOCK_PER_OPERATION / WORKLOADS[name].stock_per_s
    plans = dict.fromkeys(_STATES, plan_of(flags, stock_share=share, queue=_QUEUE))
    # In a new queue each time: else what a window leaves makes the empty one deep.
    plans["empty"] = plan_of(flags, stock_share=share)
    measures = {
        state: partial(measure, name, targets[state], plans[state]) for state in _STATES
    }
    found = {"workload": name, "storage": kind, **compared(in_turns(flags.rounds, measures))}
    print(", ".join(f"{one} {value}" for one, value in found.items()), flush=True)
    return found


def compared(windows: Mapping[str, Sequence[Figures]]) -> Figures:
    """Return the medians of the percentiles, and how many times those of `empty` they are."""
    shown: Figures = {}
    for point in ("p50", "p99"):
        middle = {
            state: median(one["latency"][f"{point}_ms"] for one in found)
            for state, found in windows.items()
        }
        for state, latency_ms in middle.items():
            shown[f"{state}_{point}_ms"] = round(latency_ms, 3)
            shown[f"{state}_{point}_times"] = round(latency_ms / middle["empty"], 2)
    every = [one for found in windows.values() for one in found]
    return {
        **shown,
        "own_lag_p99_ms": max(one["own_lag"]["p99_ms"] for one in every),
        "others_busy": max(one["others_busy"] for one in every),
        "ran_dry": any(one["ran_dry"] for one in every),
    }
