"""`python -m bench waiters`: how soon those who wait are woken, and what the others cost."""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from bench import idle, service, wakeups
from bench.beside import Figures
from bench.measure import Target
from bench.options import KINDS
from bench.processes import pinned
from bench.stores import Store, running_store

#: Posts and those who wait for them are spread over so many.
WORKERS = 2


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """Measure each store. Raises: LoadFailed."""
    with tempfile.TemporaryDirectory(prefix="nusku-bench-", dir=flags.folder) as name:
        found = [_store(kind, flags, Path(name) / kind) for kind in flags.start or KINDS]
    return {"waiters": found}


def _store(kind: str, flags: argparse.Namespace, folder: Path) -> Figures:
    cores = sorted({*flags.server_cores, *flags.load_cores})
    store_cores = flags.store_cores
    with running_store(kind, folder, cores=store_cores, fsync=flags.redis_fsync) as store:
        with service.nusku(folder / "two", store.url, workers=WORKERS, cores=cores) as server:
            woken = _told(f"{kind} wake-up", _woken(Target(server.host), flags))
        one = service.nusku(folder / "one", store.url, cores=flags.server_cores)
        with one as server:
            target = Target(server.host, server.workers, store.pids)
            waiting = _told(f"{kind} idle", _idle(target, flags))
        asked = _told(f"{kind} store", _asked(store, flags))
    return {"storage": kind, **woken, **waiting, **asked}


def _woken(target: Target, flags: argparse.Namespace) -> Figures:
    with pinned(flags.load_cores):
        return uvloop.run(
            wakeups.measured(
                target,
                waiters=flags.connections,
                rate=flags.rate,
                duration_s=flags.duration,
            )
        )


def _idle(target: Target, flags: argparse.Namespace) -> Figures:
    with pinned(flags.load_cores):
        return uvloop.run(idle.measured(target, waiters=flags.waiters, queues=flags.queues))


def _asked(store: Store, flags: argparse.Namespace) -> Figures:
    with store.counted() as queries:
        asking = partial(idle.asked, store.url, queries)
        return uvloop.run(asking(waiters=flags.waiters, queues=flags.queues))


def _told(name: str, found: Figures) -> Figures:
    shown = ", ".join(f"{figure} {value}" for figure, value in found.items())
    print(f"{name}: {shown}", flush=True)
    return found
