"""The calls of the storage contract whose cost is counted, on a queue in a fresh store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import mode
from typing import Any

import uvloop

from bench.budget.interpreter import Bytecodes
from bench.pieces.driven import Driven
from storage_drivers import open_storage

Call = Callable[[], Awaitable[Any]]

#: In the queue from the start: enough for every call.
STOCK = 2000

#: Calls that are made at the same time. NOTE: so few that their commands are one write, which
#: Redis takes in one piece of 16 KiB.
TOGETHER = 16

_REPEATS = 9


@contextmanager
def driven(url: str) -> Iterator[Driven]:
    """Open the store at a URL, with one queue in it."""
    loop = uvloop.new_event_loop()
    store = open_storage(url, timeout_ms=30_000)
    loop.run_until_complete(store.open())
    try:
        yield Driven(store, loop)
    finally:
        loop.run_until_complete(store.close())
        loop.close()


def calls(driven: Driven) -> Mapping[str, Call]:
    """Fill the queue and return each call by the name of its workload."""
    seqs = driven.fill(STOCK)
    taken = iter(reversed(seqs))
    return {
        "list-10": lambda: driven.list(10),
        "get": lambda: driven.get(seqs[0]),
        "delete": lambda: driven.delete(next(taken)),
        "claim-10": lambda: driven.claim(10),
        "post-1": lambda: driven.post(1),
        "post-10": lambda: driven.post(10),
    }


def bytecodes(counter: Bytecodes, run: Callable[[], object], repeats: int = _REPEATS) -> int:
    """Return how many bytecodes `run` takes in all threads: what most of several times say."""
    return mode(counter.during(run) for _ in range(repeats))
