"""What a Redis server does for a call, by its own statistics."""

from __future__ import annotations

import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import redis as client

from bench.budget.calls import TOGETHER, Call, bytecodes, calls, driven
from bench.budget.interpreter import Bytecodes
from bench.pieces.driven import Driven
from bench.stores import running_store

_SCRIPTS = ("evalsha", "eval", "fcall")

#: Several of these do not fit into what Redis reads at a time.
_LONG = ("post-10",)


def redis_counts() -> dict[str, dict[str, float]]:
    """Return what each call costs alone, and among others in one turn of the event loop.

    Raises: LoadFailed without a Redis server.
    """
    found: dict[str, dict[str, float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="nusku-budget-") as folder,
        running_store("redis", Path(folder), fsync="no") as server,
        client.Redis.from_url(server.url, decode_responses=True) as connection,
    ):
        with driven(server.url) as store:
            for name, call in calls(store).items():
                store.at_once(call, TOGETHER)
                found[name] = _spent(connection, store, call, 1)
                if name not in _LONG:
                    several = _spent(connection, store, call, TOGETHER)
                    found[f"{name}, {TOGETHER} at once"] = several
        connection.flushall()
        counter = Bytecodes()
        with counter.everywhere(), driven(server.url) as store:
            for name, call in calls(store).items():
                store.at_once(call, TOGETHER)
                found[name]["bytecodes"] = bytecodes(counter, partial(store.once, call))
    return found


def _spent(connection: client.Redis, store: Driven, call: Call, times: int) -> dict[str, float]:
    """Return for each of so many calls what the server did, without our own questions."""
    looked = _seen(connection)
    before = _seen(connection)
    store.at_once(call, times)
    after = _seen(connection)
    spent = {name: after[name] - 2 * before[name] + looked[name] for name in after}
    each = {name: round(count / times, 2) for name, count in spent.items()}
    return {**each, "round_trips": spent["round_trips"]}


def _seen(connection: client.Redis) -> Counter[str]:
    stats: Any = connection.info("stats")
    ran: Any = connection.info("commandstats")
    commands = {name.removeprefix("cmdstat_"): one["calls"] for name, one in ran.items()}
    scripts = sum(commands.get(name, 0) for name in _SCRIPTS)
    return Counter(
        round_trips=stats["total_reads_processed"],
        scripts=scripts,
        commands=sum(commands.values()) - scripts,
        sent_bytes=stats["total_net_input_bytes"],
    )
