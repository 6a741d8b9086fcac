"""`python -m bench neighbours`: a quiet project alone, and beside one that is noisy.

The quiet one sends at a fixed rate. The noisy one has a rate limit and offers many times of
it, in an open loop on connections of its own; another noisy one has no limit at all. The
windows take turns (alone, limited, unlimited); what counts is the median of each kind.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

import uvloop

from bench import service
from bench.beside import Figures, in_turns
from bench.client import expect
from bench.credentials import ask_once
from bench.fill import connect
from bench.loops import OpenLoop
from bench.measure import Plan, Target, figures
from bench.options import KINDS, plan_of
from bench.processes import pinned
from bench.requests import PREFIX, Requests
from bench.session import Session
from bench.stores import running_store
from bench.window import Window
from bench.workloads import Script

_QUIET = "bench-quiet"

#: Who is noisy in which windows.
_NOISY: Mapping[str, str] = {
    "alone": "",
    "limited": "bench-noisy-limited",
    "unlimited": "bench-noisy-unlimited",
}

_QUEUE = f"{PREFIX}neighbours"

_REFUSED = b"429"


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
        path = f"/v2/quotas?{urlencode({'project': _NOISY['limited']})}"
        ask_once(server.host, "PUT", path, {"requests_per_s": flags.share})
        target = Target(server.host, server.workers, store.pids)
        offered = flags.share * flags.times
        measures = {
            name: partial(_window, target, plan_of(flags), project, offered)
            for name, project in _NOISY.items()
        }
        found = {"storage": kind, **compared(in_turns(flags.rounds, measures))}
    print(f"{kind}: p99 {found['limited_p99_times']} x alone with a limit", flush=True)
    return found


def _window(target: Target, plan: Plan, noisy: str, offered: float) -> Figures:
    with pinned(plan.load_cores):
        return uvloop.run(_measured(target, plan, noisy, offered))


async def _measured(target: Target, plan: Plan, noisy: str, offered: float) -> Figures:
    answers: Counter[bytes] = Counter()
    quiet = _Crowd(target, plan, _QUIET, Counter())
    crowds = [(quiet, plan.rate or 0)]
    if noisy:
        crowds.append((_Crowd(target, plan, noisy, answers), offered))
    try:
        loops = [await crowd.loop(rate) for crowd, rate in crowds]
        measured = await asyncio.gather(*(loop.run() for loop in loops))
    finally:
        for crowd, _ in crowds:
            crowd.close()
    answered = sum(answers.values())
    noisy_s = plan.warmup_s + plan.duration_s
    return {
        **figures(measured[0], 1),
        "own_lag": loops[0].lag.summary(),
        "noisy_admitted_per_s": round((answered - answers[_REFUSED]) / noisy_s, 1),
        "noisy_refused_per_s": round(answers[_REFUSED] / noisy_s, 1),
    }


class _Crowd:
    """The connections of one project, which post messages and take refusals as they come."""

    def __init__(
        self, target: Target, plan: Plan, project: str, answers: Counter[bytes]
    ) -> None:
        self._target = target
        self._plan = plan
        self._answers = answers
        requests = Requests(target.host, project=project)
        self._request = requests.post(_QUEUE, 1, plan.body_bytes)
        self._sessions: list[Session] = []

    async def loop(self, rate: float) -> OpenLoop:
        """Connect, and be ready to post at this rate."""
        for _ in range(self._plan.connections):
            client = await connect(self._target.host)
            self._sessions.append(Session(client, self._script(), 1))
        plan = self._plan
        window: Window[Any] = Window(
            self._target.usage, warmup_s=plan.warmup_s, duration_s=plan.duration_s
        )
        return OpenLoop(self._sessions, window, rate)

    def close(self) -> None:
        """Close the connections."""
        for session in self._sessions:
            session.client.close()

    def _script(self) -> Script:
        while True:
            answer = yield self._request
            status = answer[9:12]
            self._answers[status] += 1
            if status != _REFUSED:
                expect(answer, b"201")


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
        for figure in ("noisy_admitted_per_s", "noisy_refused_per_s", "server_busy"):
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
