"""The command line: what can be asked for, and the plan that follows."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from bench.credentials import KINDS as AUTH
from bench.measure import Plan
from bench.stores import FSYNC
from bench.workloads import WORKLOADS

_DEFAULT = Plan()

#: Stores that need nothing installed beyond what the tests need.
KINDS = ("sqlite", "redis")

_STORES = (*KINDS, "mongodb")


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m bench`."""
    top = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    _add_http(commands.add_parser("http", help="load over HTTP, beside the ceiling"))
    _add_compare(commands.add_parser("compare", help="Zaqar and Nusku on the same Redis"))
    _add_depth(commands.add_parser("depth", help="latency in empty and in deep queues"))
    _add_neighbours(
        commands.add_parser("neighbours", help="a quiet project beside a noisy one")
    )
    _add_authentication(commands.add_parser("authentication", help="posts with credentials"))
    _add_workers(commands.add_parser("workers", help="two workers beside one"))
    _add_waiters(commands.add_parser("waiters", help="requests that wait"))
    wrk = commands.add_parser("ceiling", help="the bare application, under wrk, too")
    _add_load(wrk)
    _add_place(wrk)
    profile = commands.add_parser("profile", help="where the time of a request goes (py-spy)")
    profile.add_argument("--start", choices=_STORES, default="sqlite")
    profile.set_defaults(auth=AUTH[0])
    _add_load(profile)
    _add_place(profile)
    budget = commands.add_parser("budget", help="what a request costs, counted and compared")
    budget.add_argument("--record", action="store_true", help="expect this from now on")
    _add_output(budget)
    table = commands.add_parser("table", help="the tables of runs that were kept")
    table.add_argument("files", nargs="*", type=Path, metavar="FILE", help="all if none")
    _add_output(table)
    return top


def _add_http(command: argparse.ArgumentParser) -> None:
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="a server that runs, like http://127.0.0.1:8888")
    where.add_argument("--start", choices=_STORES, help="a fresh one")
    add = command.add_argument
    add("--pid", type=int, help="with --url: its master process")
    add("--no-memory", dest="memory", action="store_false", help="leave it out")
    add("--auth", choices=AUTH, default=AUTH[0], help="what requests prove themselves with")
    add("--apart", action="store_true", help="also with the store on the cores of the load")
    _add_rounds(command, 3)
    _add_load(command)
    _add_place(command)


def _add_compare(command: argparse.ArgumentParser) -> None:
    environment = Path(__file__).parent / "environments" / "zaqar"
    command.add_argument("--zaqar", default="zaqar==23.*", help="what pip is to install")
    command.add_argument("--environment", type=Path, default=environment, metavar="DIR")
    _add_load(command)
    _add_place(command)


def _add_depth(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--start", action="append", choices=_STORES, default=[], help=f"{KINDS} if none")
    add("--deep", type=int, default=1_000_000, help="messages queued, or claimed in front")
    _add_rounds(command, 5)
    _add_load(command)
    _add_place(command)
    command.set_defaults(rate=300.0, duration=4.0)


def _add_workers(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--start", action="append", choices=_STORES, default=[], help=f"{KINDS} if none")
    _add_rounds(command, 5)
    _add_load(command)
    _add_place(command)


def _add_neighbours(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--start", action="append", choices=_STORES, default=[], help=f"{KINDS} if none")
    add("--share", type=float, default=20.0, metavar="PER_S", help="rate of the noisy one")
    add("--times", type=float, default=100.0, help="how often it offers its share")
    add("--crowd", type=int, default=600, help="connections that do not hold it back")
    _add_rounds(command, 7)
    _add_load(command)
    _add_place(command)
    command.set_defaults(rate=200.0, duration=5.0)


def _add_waiters(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--start", action="append", choices=KINDS, default=[], help=f"{KINDS} if none")
    add("--connections", type=int, default=32, help="who waits to be woken")
    add("--rate", type=float, default=50.0, metavar="PER_S", help="posts a second")
    add("--duration", type=float, default=20.0, metavar="S", help="for so long")
    add("--waiters", type=int, default=5000, help="who waits and is not woken")
    add("--queues", type=int, default=500, help="for which they wait")
    _add_output(command)
    _add_place(command)


def _add_authentication(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--start", choices=_STORES, default="sqlite", help="default: sqlite")
    _add_rounds(command, 9)
    _add_load(command)
    _add_place(command)


def _add_rounds(command: argparse.ArgumentParser, rounds: int) -> None:
    text = f"windows of each kind, in turns; default: {rounds}"
    command.add_argument("--rounds", type=int, default=rounds, help=text)


def _add_load(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--workload", action="append", choices=list(WORKLOADS), default=[], help="all if none")
    add("--connections", type=int, default=_DEFAULT.connections)
    add("--duration", type=float, default=_DEFAULT.duration_s, metavar="S")
    add("--warmup", type=float, default=_DEFAULT.warmup_s, metavar="S")
    add("--rate", type=float, metavar="PER_S", help="operations a second, open loop")
    add("--body-bytes", type=int, default=_DEFAULT.body_bytes)
    add("--queued", type=int, default=0, help="messages in the queue from the start")
    add("--claimed", type=int, default=0, help="claimed messages in front of them")
    _add_output(command)


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    command.add_argument("--svg", type=Path, metavar="FILE", help="draw the figures")


def _add_place(command: argparse.ArgumentParser) -> None:
    cores = sorted(os.sched_getaffinity(0))
    server, load = cores[:1], cores[1:2] or cores
    add = command.add_argument
    add("--workers", type=int, default=1)
    add("--server-cores", type=_cores, default=server, metavar="N,N", help=f"default: {server}")
    add("--load-cores", type=_cores, default=load, metavar="N,N", help=f"default: {load}")
    add("--store-cores", type=_cores, default=server, metavar="N,N", help="as the server")
    add("--redis-fsync", choices=FSYNC, default=FSYNC[0], help="appendfsync of Redis")
    add("--folder", type=Path, metavar="DIR", help="for the files of stores")


def _cores(text: str) -> list[int]:
    return [int(core) for core in text.split(",")]


def plan_of(flags: argparse.Namespace, **changes: Any) -> Plan:
    """Return the plan that the flags describe."""
    given: dict[str, Any] = {
        "connections": flags.connections,
        "warmup_s": flags.warmup,
        "duration_s": flags.duration,
        "rate": flags.rate,
        "body_bytes": flags.body_bytes,
        "queued": flags.queued,
        "claimed": flags.claimed,
        "load_cores": flags.load_cores,
    }
    return Plan(**{**given, **changes})
