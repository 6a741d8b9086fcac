"""Processor time of a real server for a post, as a multiple of the bare application's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench import service
from bench.beside import in_turns, ratios
from bench.measure import Plan, Target, measure, measure_bare
from bench.stores import running_store

_ROUNDS = 5
_WORKLOAD = "post-1"


def processor_times(kinds: Sequence[str]) -> dict[str, float]:
    """Return for each kind of store how many times as much processor time a post takes.

    With the store's, the median over rounds in turns: a busy machine makes all of them
    slower. Raises: LoadFailed.
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
    return {
        kind: round(1 / ratios(found[kind], found["bare"])["cpu_ratio"], 2) for kind in kinds
    }


@contextmanager
def _running(kind: str, folder: Path, cores: Collection[int]) -> Iterator[Target]:
    with (
        running_store(kind, folder, cores=cores) as store,
        service.nusku(folder / "nusku", store.url, cores=cores) as server,
    ):
        yield Target(server.host, server.workers, store.pids)
