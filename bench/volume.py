"""How much room a stored message takes."""

from __future__ import annotations

import uvloop

from bench.fill import connect, fill
from bench.requests import PREFIX
from bench.service import Service
from bench.stores import Store
from bench.workloads import Scene

#: Enough that what is allocated ahead, tables that double and pages, weighs little.
MESSAGES = 50_000


def bytes_per_message(server: Service, store: Store, body_bytes: int) -> int:
    """Return by how much the store grows for each of `MESSAGES` messages in one queue."""
    _post(server, body_bytes, 1)
    before = store.used_bytes()
    _post(server, body_bytes, MESSAGES)
    return round((store.used_bytes() - before) / MESSAGES)


def _post(server: Service, body_bytes: int, count: int) -> None:
    async def post() -> None:
        scene = Scene(server.host, f"{PREFIX}memory", body_bytes)
        client = await connect(server.host)
        await fill(client, scene, claimed=0, queued=count, per_claim=1)
        client.close()

    uvloop.run(post())
