"""What those cost who wait and are not woken: the worker, and the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bench.beside import Figures
from bench.client import Client, LoadFailed
from bench.fill import ask, connect
from bench.measure import Target
from bench.processes import cpu_s, machine_cpu_s, resident_bytes
from bench.requests import PREFIX, Requests
from queues.clock import SystemClock
from queues.limits import Limits
from queues.operations import Operations
from queues.operations.claims import Wanted
from queues.operations.polls import Patience
from storage_drivers import open_storage

_WAIT_S = 60
_WINDOW_S = 20.0
_SETTLE_S = 3.0

#: So many connect at the same time.
_BATCH = 200


class _Crowd:
    """Connections that wait on queues where nothing happens, and come back after each wait."""

    def __init__(self, host: str, queues: int) -> None:
        self._requests = Requests(host)
        self._host = host
        self._queues = queues
        self.clients: list[Client] = []
        self.returns = 0
        self.failure: Exception | None = None

    async def gather(self, count: int) -> None:
        """Let so many wait."""
        for queue in range(self._queues):
            client = await connect(self._host)
            path = f"/v2/queues/{PREFIX}idle-{queue}"
            await ask(client, self._requests.request("PUT", path))
            self.clients.append(client)
            if len(self.clients) == count:
                break
        while len(self.clients) < count:
            batch = min(_BATCH, count - len(self.clients))
            self.clients += await asyncio.gather(*(connect(self._host) for _ in range(batch)))
        for number, client in enumerate(self.clients):
            self._begin(client, number % self._queues)

    def _begin(self, client: Client, queue: int) -> None:
        path = f"/v2/queues/{PREFIX}idle-{queue}/claims?wait={_WAIT_S}"
        request = self._requests.request("POST", path, b"{}")

        def answered(answer: bytes) -> None:
            if answer[9:12] != b"204":
                self._fail(LoadFailed(f"nothing was to be claimed: {answer[:200]!r}"))
                return
            self.returns += 1
            client.send(request)

        client.answered, client.failed = answered, self._fail
        client.send(request)

    def _fail(self, ex: Exception) -> None:
        self.failure = self.failure or ex

    def check(self) -> None:
        """Fail if one of them has failed. Raises: LoadFailed."""
        if self.failure is not None:
            raise self.failure


async def measured(target: Target, *, waiters: int, queues: int) -> Figures:
    """Return what a worker uses without and with so many who wait, in percent of a core.

    Once while nobody comes or goes, and once over the time in which all come back once.
    """
    (worker,) = target.workers
    alone = await _used(target, _WINDOW_S)
    before_bytes = resident_bytes(worker)
    crowd = _Crowd(target.host, queues)
    try:
        began_s = time.monotonic()
        await crowd.gather(waiters)
        await asyncio.sleep(_SETTLE_S)
        bytes_each = (resident_bytes(worker) - before_bytes) / waiters
        crowd.check()
        still = await _used(target, _WINDOW_S)
        if crowd.returns:
            raise LoadFailed("some have waited long enough before all were there")
        left_s = began_s + _WAIT_S - time.monotonic()
        await asyncio.sleep(left_s - _SETTLE_S)
        coming = await _used(target, float(_WAIT_S))
        crowd.check()
    finally:
        for client in crowd.clients:
            client.close()
    return {
        "waiters": waiters,
        "queues": queues,
        "alone_percent": alone["percent"],
        "idle_percent": still["percent"],
        "coming_back_percent": coming["percent"],
        "came_back": crowd.returns,
        "bytes_per_waiter": round(bytes_each),
        "others_busy": max(used["others_busy"] for used in (alone, still, coming)),
    }


async def _used(target: Target, window_s: float) -> Figures:
    before_s, all_before_s = cpu_s(target.workers), machine_cpu_s()
    own_before_s, began_s = time.process_time(), time.monotonic()
    store_before_s = cpu_s(target.store)
    await asyncio.sleep(window_s)
    passed_s = time.monotonic() - began_s
    used_s = cpu_s(target.workers) - before_s
    known_s = used_s + cpu_s(target.store) - store_before_s
    others_s = machine_cpu_s() - all_before_s - known_s - time.process_time() + own_before_s
    return {
        "percent": round(100 * used_s / passed_s, 2),
        "others_busy": round(others_s / passed_s, 2),
    }


async def asked(url: str, queries: Callable[[], int], *, waiters: int, queues: int) -> Figures:
    """Return how often the store is asked while so many wait, in this process.

    NOTE: a server asks it besides, whether or not anybody waits: what has expired, what is due.
    """
    storage = open_storage(url, timeout_ms=5000)
    await storage.open()
    operations = Operations(storage, Limits(), SystemClock())
    wanted, patience = Wanted(None, None, 10, None), Patience(_WAIT_S)
    waiting = [
        asyncio.ensure_future(
            operations.polls.claim("bench", f"{PREFIX}idle-{n % queues}", wanted, patience)
        )
        for n in range(waiters)
    ]
    await asyncio.sleep(2 * _SETTLE_S)
    before, began_s = queries(), time.monotonic()
    await asyncio.sleep(_WINDOW_S)
    per_s = (queries() - before) / (time.monotonic() - began_s)
    if any(one.done() for one in waiting):
        raise LoadFailed("some have not waited")
    operations.waiting.close()
    await asyncio.gather(*waiting)
    await operations.waiting.emptied()
    await storage.close()
    return {"store_queries_per_s": round(per_s, 2)}
