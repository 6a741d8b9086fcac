"""A noisy project as a process of its own: it posts at a rate, whatever is answered.

    python -m bench.noise <host> <project> <requests per second> <connections>

It sends until its input ends, then prints what it was told, as JSON. It has the lowest
priority and does not spin, so it keeps the load that is measured beside it from nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter, deque

import uvloop

from bench.client import Client
from bench.fill import connect
from bench.requests import PREFIX, Requests

_TICK_S = 0.001


class Noise:
    """An open loop: requests are due on schedule, and wait while every connection is busy."""

    def __init__(self, request: bytes, per_s: float) -> None:
        """Be ready to send `request`."""
        self.answers: Counter[str] = Counter()
        self.due = 0
        self._request = request
        self._per_s = per_s
        self._sent = 0
        self._idle: deque[Client] = deque()

    def add(self, client: Client) -> None:
        """Send over one more connection."""

        def answered(answer: bytes) -> None:
            self.answers[answer[9:12].decode()] += 1
            self._idle.append(client)

        client.answered = answered
        self._idle.append(client)

    async def run(self, ended: asyncio.Future[None]) -> None:
        """Send what is due, again and again, until the end."""
        begun_s = time.perf_counter()
        while not ended.done():
            self.due = int((time.perf_counter() - begun_s) * self._per_s)
            while self._idle and self._sent < self.due:
                self._idle.popleft().send(self._request)
                self._sent += 1
            await asyncio.sleep(_TICK_S)


async def _send(host: str, project: str, per_s: float, connections: int) -> None:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(failure: Exception | None = None) -> None:
        if ended.done():
            return
        if failure is None:
            ended.set_result(None)
        else:
            ended.set_exception(failure)

    asyncio.get_running_loop().add_reader(sys.stdin, end)
    request = Requests(host, project=project).post(f"{PREFIX}neighbours", 1, 100)
    noise = Noise(request, per_s)
    clients = [await connect(host) for _ in range(connections)]
    for client in clients:
        client.failed = end
        noise.add(client)
    await noise.run(ended)
    ended.result()
    for client in clients:
        client.close()
    print(json.dumps({"due": noise.due, "answers": noise.answers}))


if __name__ == "__main__":
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    _, host, project, per_s, connections = sys.argv
    uvloop.run(_send(host, project, float(per_s), int(connections)))
