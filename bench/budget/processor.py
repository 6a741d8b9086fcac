"""Processor time of a real server for a post, as a multiple of the bare application's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench import service
from bench.beside import Figures, in_turns
from bench.client import LoadFailed
from bench.measure import Plan, Target, measure, measure_bare
from bench.stores import running_store

_ROUNDS = 5
_WORKLOAD = "post-1"


def processor_times(kinds: Sequence[str]) -> dict[str, float]:
    """Return for each kind of store how many times as much processor time a post takes.

    With the store's, over rounds in turns: a busy machine makes all of them slower. Raises:
    LoadFailed.
    """
    cores = sorted(os.sched_getaffinity(0))
    first, second = cores[:1], cores[1:2] or cores
    plan = Plan(warmup_s=0.1, duration_s=0.4, load_cores=second)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nusku-budget-")))
        bare = stack.enter_context(service.bare(folder / "bare", cores=first))
        targets = {
            kind: stack.enter_context(_running(kind, folder / kind, first)) for kind in kinds
        }
        plain = Target(bare.host, bare.workers)
        found = in_turns(
            _ROUNDS,
            {"bare": lambda: measure_bare("post", plain, plan)}
            | {kind: partial(measure, _WORKLOAD, targets[kind], plan) for kind in kinds},
        )
    plain_us = cpu_us(found["bare"])
    if not plain_us:
        raise LoadFailed("the machine is too busy to measure processor time")
    return {kind: round(cpu_us(found[kind]) / plain_us, 2) for kind in kinds}


def cpu_us(found: Sequence[Figures]) -> float:
    """Return the processor time of server and store for a request, over all rounds.

    NOTE: the kernel counts in hundredths of a second, so a round by itself may see none.
    """
    spent = sum(
        (one["server_cpu_us_per_request"] + one["store_cpu_us_per_request"]) * one["requests"]
        for one in found
    )
    return float(spent / max(sum(one["requests"] for one in found), 1))


@contextmanager
def _running(kind: str, folder: Path, cores: Collection[int]) -> Iterator[Target]:
    with (
        running_store(kind, folder, cores=cores) as store,
        service.nusku(folder / "nusku", store.url, cores=cores) as server,
    ):
        yield Target(server.host, server.workers, store.pids)
