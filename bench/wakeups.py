"""How long it takes from a post to the answer of somebody who waited for it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence

from bench.beside import Figures
from bench.client import Client, expect
from bench.fill import connect
from bench.latency import Latencies
from bench.loops import intended
from bench.measure import Target
from bench.requests import PREFIX, Requests

_QUEUE = f"{PREFIX}waiters"

#: Connections of those who post, so that each worker has some.
_POSTERS = 8

_SETTLE_S = 1.0
_LATE_S = 5.0

_NUMBER = re.compile(rb'"body":(\d+)')


class _Waiting:
    """Connections that wait for one message each, again and again."""

    def __init__(self, requests: Requests, sent_s: Sequence[float]) -> None:
        self.latencies = Latencies()
        self._sent_s = sent_s
        self._request = requests.request(
            "POST", f"/v2/queues/{_QUEUE}/claims?limit=1&wait=60", b"{}"
        )
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self, client: Client) -> None:
        """Let a connection wait."""

        def answered(answer: bytes) -> None:
            now_s = time.perf_counter()
            if answer[9:12] != b"204":
                expect(answer, b"201")
                (number,) = _NUMBER.findall(answer)
                self.latencies.add(now_s - self._sent_s[int(number)])
            client.send(self._request)

        client.answered, client.failed = answered, self._fail
        client.send(self._request)

    def _fail(self, ex: Exception) -> None:
        if not self.failed.done():
            self.failed.set_exception(ex)


async def measured(target: Target, *, waiters: int, rate: float, duration_s: float) -> Figures:
    """Post at a fixed rate, and see how long it takes until a claim has each message.

    From before a post is sent until the answer of the claim is here.
    """
    requests, sent_s = Requests(target.host), [0.0] * round(rate * duration_s)
    waiting = _Waiting(requests, sent_s)
    clients = [await connect(target.host) for _ in range(waiters)]
    posters = [await connect(target.host) for _ in range(_POSTERS)]
    try:
        for client in clients:
            waiting.begin(client)
        for poster in posters:
            poster.answered, poster.failed = _posted, waiting.failed.set_exception
        await asyncio.sleep(_SETTLE_S)
        before = target.usage()
        begin_s = time.perf_counter()
        await _post(requests, posters, sent_s, rate)
        await _all_woken(waiting, len(sent_s))
        busy = (target.usage().machine_s - before.machine_s) / (time.perf_counter() - begin_s)
    finally:
        for client in (*clients, *posters):
            client.close()
    shown = {f"wake_{name}": value for name, value in waiting.latencies.summary().items()}
    return {**shown, "wakes": len(waiting.latencies), "machine_busy": round(busy, 2)}


def _posted(answer: bytes) -> None:
    expect(answer, b"201")


async def _post(
    requests: Requests, posters: Sequence[Client], sent_s: list[float], rate: float
) -> None:
    moments = intended(time.perf_counter(), rate)
    for number in range(len(sent_s)):
        await asyncio.sleep(max(0.0, next(moments) - time.perf_counter()))
        document = json.dumps({"messages": [{"ttl": 300, "body": number}]}).encode()
        sent_s[number] = time.perf_counter()
        path = f"/v2/queues/{_QUEUE}/messages"
        posters[number % len(posters)].send(requests.request("POST", path, document))


async def _all_woken(waiting: _Waiting, count: int) -> None:
    async with asyncio.timeout(_LATE_S):
        while len(waiting.latencies) < count:
            await asyncio.sleep(0.01)
            if waiting.failed.done():
                waiting.failed.result()
