"""`python -m bench neighbours`: a quiet project alone, and beside one that is noisy.

The quiet one sends at a fixed rate. The noisy one (`noise.py`) has a rate limit and offers many
times of it, over as many connections as the quiet one, or over so many (`crowd`) that they
do not hold it back; another noisy one has no limit at all. The windows take turns; what
counts is the median of each kind.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlencode

import uvloop

from bench import service
from bench.beside import Figures, in_turns
from bench.client import LoadFailed, expect
from bench.credentials import ask_once
from bench.fill import connect
from bench.latency import Latencies
from bench.loops import OpenLoop
from bench.measure import Plan, Target, figures
from bench.options import KINDS, plan_of
from bench.processes import pinned
from bench.requests import PREFIX, Requests
from bench.session import Session
from bench.stores import running_store
from bench.window import Measured, Window
from bench.workloads import Script

_QUIET = "bench-quiet"

_LIMITED = "bench-noisy-limited"

_QUEUE = f"{PREFIX}neighbours"

_ADMITTED, _REFUSED = "201", ("429", "503")


_COUNTED = (
    "noisy_offered_per_s",
    "noisy_admitted_per_s",
    "noisy_refused_per_s",
    "server_busy",
)


class Noisy(NamedTuple):
    """Who is noisy, nobody if empty, and how."""

    project: str
    per_s: float
    connections: int


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """Measure each store. Raises: LoadFailed."""
    with tempfile.TemporaryDirectory(prefix="nusku-bench-", dir=flags.folder) as name:
        found = [_store(kind, flags, Path(name) / kind) for kind in flags.start or KINDS]
    return {"neighbours": found}


def _store(kind: str, flags: argparse.Namespace, folder: Path) -> Figures:
    running = running_store(kind, folder, cores=flags.store_cores, fsync=flags.redis_fsync)
    with (
        running as store,
        service.nusku(
            folder / "nusku", store.url, workers=flags.workers, cores=flags.server_cores
        ) as server,
    ):
        path = f"/v2/quotas?{urlencode({'project': _LIMITED})}"
        ask_once(server.host, "PUT", path, {"requests_per_s": flags.share})
        target = Target(server.host, server.workers, store.pids)
        measures = {
            name: partial(_window, target, plan_of(flags), noisy)
            for name, noisy in windows(flags).items()
        }
        found = {"storage": kind, **compared(in_turns(flags.rounds, measures))}
    print(f"{kind}: p99 {found['limited_p99_times']} x alone with a limit", flush=True)
    return found


def windows(flags: argparse.Namespace) -> Mapping[str, Noisy]:
    """Return who is noisy in which windows."""
    offered, few = flags.share * flags.times, flags.connections
    return {
        "alone": Noisy("", 0, 0),
        "limited": Noisy(_LIMITED, offered, few),
        "crowd": Noisy(_LIMITED, offered, flags.crowd),
        "unlimited": Noisy("bench-noisy-unlimited", offered, few),
    }


def _window(target: Target, plan: Plan, noisy: Noisy) -> Figures:
    with pinned(plan.load_cores):
        return uvloop.run(_measured(target, plan, noisy))


async def _measured(target: Target, plan: Plan, noisy: Noisy) -> Figures:
    with noise(target.host, noisy) as end:
        measured, lag = await _quiet(target, plan)
        heard, passed_s = end()
    answers = heard["answers"]
    refused = sum(answers.get(status, 0) for status in _REFUSED)
    return {
        **figures(measured, 1),
        "own_lag": lag.summary(),
        "noisy_offered_per_s": round(heard["due"] / passed_s, 1),
        "noisy_admitted_per_s": round(answers.get(_ADMITTED, 0) / passed_s, 1),
        "noisy_refused_per_s": round(refused / passed_s, 1),
    }


@contextmanager
def noise(host: str, noisy: Noisy) -> Iterator[Callable[[], tuple[Any, float]]]:
    """Let somebody make noise; what is yielded ends it, and returns what it heard, and when."""
    if not noisy.project:
        yield lambda: ({"due": 0, "answers": {}}, 1.0)
        return
    command = [sys.executable, "-m", "bench.noise", host, noisy.project]
    command += [str(noisy.per_s), str(noisy.connections)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:

        def end() -> tuple[Any, float]:
            said, _ = process.communicate()
            if process.returncode:
                raise LoadFailed("the noisy project failed")
            heard = json.loads(said)
            return heard, heard["due"] / noisy.per_s

        try:
            yield end
        finally:
            process.kill()


async def _quiet(target: Target, plan: Plan) -> tuple[Measured[Any], Latencies]:
    request = Requests(target.host, project=_QUIET).post(_QUEUE, 1, plan.body_bytes)
    sessions: list[Session] = []
    try:
        for _ in range(plan.connections):
            client = await connect(target.host)
            sessions.append(Session(client, _script(request), 1))
        window: Window[Any] = Window(
            target.usage, warmup_s=plan.warmup_s, duration_s=plan.duration_s
        )
        loop = OpenLoop(sessions, window, plan.rate or 0)
        return await loop.run(), loop.lag
    finally:
        for session in sessions:
            session.client.close()


def _script(request: bytes) -> Script:
    while True:
        expect((yield request), b"201")


def compared(windows: Mapping[str, Sequence[Figures]]) -> Figures:
    """Return the medians of the percentiles, and how many times those `alone` they are."""
    shown: Figures = {}
    for point in ("p50", "p99"):
        for name, found in windows.items():
            middle_ms = median(one["latency"][f"{point}_ms"] for one in found)
            shown[f"{name}_{point}_ms"] = round(middle_ms, 3)
            times = middle_ms / shown[f"alone_{point}_ms"]
            shown[f"{name}_{point}_times"] = round(times, 2)
    for name, found in windows.items():
        for figure in _COUNTED:
            shown[f"{name}_{figure}"] = median(one[figure] for one in found)
    rounds = [
        {
            name: {"p99_ms": one["latency"]["p99_ms"], "others_busy": one["others_busy"]}
            for name, one in zip(windows, turn, strict=True)
        }
        for turn in zip(*windows.values(), strict=True)
    ]
    every = [one for found in windows.values() for one in found]
    return {
        **shown,
        "rounds": rounds,
        "own_lag_p99_ms": max(one["own_lag"]["p99_ms"] for one in every),
        "others_busy": max(one["others_busy"] for one in every),
    }
