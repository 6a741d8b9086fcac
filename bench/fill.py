"""Fills queues before a measurement, over HTTP like everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bench.client import Client, LoadFailed, expect
from bench.workloads import Scene

#: Messages in one post: as many as the default limit on a request's size has room for.
POST_BYTES = 200_000
MOST_PER_POST = 1000

ANSWER_S = 60.0


async def connect(host: str) -> Client:
    """Return a connection to `host`, which has a port."""
    address, _, port = host.rpartition(":")
    try:
        _, client = await asyncio.get_running_loop().create_connection(
            Client, address.strip("[]"), int(port)
        )
    except OSError as ex:
        raise LoadFailed(f"cannot connect to {host}: {ex}") from ex
    return client


async def ask(client: Client, request: bytes) -> bytes:
    """Send one request and wait for its answer."""
    future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    client.answered, client.failed = future.set_result, future.set_exception
    client.send(request)
    async with asyncio.timeout(ANSWER_S):
        return await future


async def fill(
    client: Client, scene: Scene, *, claimed: int, queued: int, per_claim: int
) -> Sequence[bytes]:
    """Create the queue with `claimed` messages in front and `queued` behind them.

    Returns the answers to the posts of the latter.
    """
    requests = scene.requests
    answer = await ask(client, requests.request("PUT", f"/v2/queues/{scene.queue}"))
    if answer[9:12] not in {b"201", b"204"}:
        raise LoadFailed(f"cannot create a queue: {answer[:400]!r}")
    await _post(client, scene, claimed)
    lease = {"ttl": 43_200, "grace": 60}
    for at in range(0, claimed, per_claim):
        request = requests.claim(scene.queue, min(per_claim, claimed - at), lease)
        expect(await ask(client, request), b"201")
    return await _post(client, scene, queued)


async def _post(client: Client, scene: Scene, count: int) -> list[bytes]:
    # Around each body: quotes, names and a time to live.
    most = max(1, min(MOST_PER_POST, POST_BYTES // (scene.body_bytes + 30)))
    full = scene.requests.post(scene.queue, most, scene.body_bytes)
    answers = []
    for at in range(0, count, most):
        left = min(most, count - at)
        request = full
        if left < most:
            request = scene.requests.post(scene.queue, left, scene.body_bytes)
        answers.append(await ask(client, request))
        expect(answers[-1], b"201")
    return answers
