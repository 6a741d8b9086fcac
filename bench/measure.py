"""One measurement: a workload against a server that runs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import uvloop

from bench import ceiling
from bench.fill import connect, fill
from bench.loops import OpenLoop, closed_loop
from bench.processes import cpu_s, machine_cpu_s, pinned, switches
from bench.requests import PREFIX, Requests, hrefs, messages_document
from bench.session import Session
from bench.window import Measured, Window
from bench.workloads import WORKLOADS, Scene, Script, Workload


@dataclass(frozen=True)
class Plan:
    """How to measure. `rate` None sends as fast as answers come.

    `queued` messages wait in the queue from the start, and `claimed` ones in front of them,
    taken `per_claim` at a time. `queue` is one that may exist already, empty means a new one.
    """

    connections: int = 32
    warmup_s: float = 0.5
    duration_s: float = 2.0
    rate: float | None = None
    body_bytes: int = 100
    queued: int = 0
    claimed: int = 0
    per_claim: int = 20
    load_cores: Collection[int] = ()
    stock_share: float = 1.0
    queue: str = ""


class Usage(NamedTuple):
    """Processor time used so far: by the server, its store, this program, and everybody.

    `switches` is how often the threads of the server left a core, `cores_s` what anybody used
    of the cores of the server.
    """

    server_s: float
    store_s: float
    own_s: float
    machine_s: float
    switches: float
    cores_s: float


class Target(NamedTuple):
    """A server: its address, the processes of its workers and those of its store.

    `cores` are those of the workers; none means all. `headers` go with every request.
    """

    host: str
    workers: Sequence[int] = ()
    store: Sequence[int] = ()
    cores: Collection[int] = ()
    headers: str = ""

    def usage(self) -> Usage:
        """Return the processor time used so far."""
        own_s = time.process_time()
        return Usage(
            cpu_s(self.workers),
            cpu_s(self.store),
            own_s,
            machine_cpu_s(),
            switches(self.workers),
            machine_cpu_s(self.cores),
        )


def measure(name: str, target: Target, plan: Plan) -> dict[str, Any]:
    """Fill a new queue, run the workload, and return its figures. Raises: LoadFailed."""
    with pinned(plan.load_cores):
        return uvloop.run(_measure(name, WORKLOADS[name], target, plan))


async def _measure(name: str, workload: Workload, target: Target, plan: Plan) -> dict[str, Any]:
    queue = plan.queue or f"{PREFIX}{secrets.token_hex(6)}"
    scene = Scene(target.host, queue, plan.body_bytes, headers=target.headers)
    client = await connect(target.host)
    answers = await fill(
        client,
        scene,
        claimed=plan.claimed,
        queued=plan.queued + _stock(workload, plan),
        per_claim=plan.per_claim,
    )
    client.close()
    if name in {"get", "delete"}:
        for answer in answers:
            scene.stock.extend(hrefs(answer))
    return await _run(name, workload.steps, lambda: workload.script(scene), target, plan)


def _stock(workload: Workload, plan: Plan) -> int:
    """Return how many messages must be there so that none runs out."""
    used = workload.stock_per_s * (plan.warmup_s + plan.duration_s) * plan.stock_share
    return workload.stock + int(used)


async def _run(
    name: str, steps: int, script: Callable[[], Script], target: Target, plan: Plan
) -> dict[str, Any]:
    clients = [await connect(target.host) for _ in range(plan.connections)]
    try:
        sessions = [Session(client, script(), steps) for client in clients]
        window = Window(target.usage, warmup_s=plan.warmup_s, duration_s=plan.duration_s)
        if plan.rate is None:
            measured = await closed_loop(sessions, window)
            return {"workload": name, "loop": "closed", **figures(measured, steps)}
        loop = OpenLoop(sessions, window, plan.rate)
        measured = await loop.run()
        return {
            "workload": name,
            "loop": "open",
            "rate": plan.rate,
            **figures(measured, steps),
            "own_lag": loop.lag.summary(),
            "longest_line": loop.longest_line,
        }
    finally:
        for client in clients:
            client.close()


def figures(measured: Measured[Usage], steps: int) -> dict[str, Any]:
    """Return what is reported of a measurement."""
    seconds = measured.seconds
    requests = max(measured.operations * steps, 1)
    used = Usage(*(b - a for a, b in zip(measured.before, measured.after, strict=True)))
    return {
        "operations": measured.operations,
        "requests": measured.operations * steps,
        "seconds": round(seconds, 3),
        "per_s": round(measured.operations / seconds, 1),
        "latency": measured.latencies.summary(),
        "server_cpu_us_per_request": round(used.server_s / requests * 1e6, 1),
        "store_cpu_us_per_request": round(used.store_s / requests * 1e6, 1),
        "switches_per_request": round(used.switches / requests, 2),
        "server_busy": round(used.server_s / seconds, 3),
        "cores_busy": round(used.cores_s / seconds, 3),
        "load_busy": round(used.own_s / seconds, 3),
        "others_busy": round(max(0, used.machine_s - sum(used[:3])) / seconds, 3),
        "ran_dry": measured.ran_dry,
    }


def measure_bare(kind: str, target: Target, plan: Plan) -> dict[str, Any]:
    """Return the figures of bare requests, `post` or `get`, which need no store."""
    request = bare_request(kind, target.host, plan.body_bytes)

    def script() -> Script:
        while True:
            yield request

    with pinned(plan.load_cores):
        return uvloop.run(_run(kind, 1, script, target, plan))


def bare_request(kind: str, host: str, body_bytes: int) -> bytes:
    """Return a request that the bare application understands."""
    requests = Requests(host)
    if kind == "get":
        return requests.request("GET", ceiling.PATH)
    return requests.request("POST", ceiling.PATH, messages_document(1, body_bytes))
