"""Short forms of requests for subscriptions, and waiting for what becomes of them."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.transport.receiver import Received, Receiver
from tests.transport.service import Service

PATH = "/v2/queues/q/subscriptions"


async def subscribe(service: Service, subscriber: str, **options: Any) -> Any:
    """Subscribe to the queue `q`, and return the answer."""
    answer = await service.post(PATH, {"subscriber": subscriber, "options": options})
    assert answer.status == 201, answer.content
    return answer.json


async def received(receiver: Receiver, number: int = 1) -> list[Received]:
    """Wait for so many requests, and return them."""
    async with asyncio.timeout(10):
        while len(receiver.received) < number:  # noqa: ASYNC110 (a socket tells nobody)
            await asyncio.sleep(0.005)
    return receiver.received


async def deliveries(service: Service, made: Any, query: str = "") -> list[Any]:
    """Return a page of the deliveries of a subscription."""
    path = f"{PATH}/{made['subscription_id']}/deliveries{query}"
    listed: list[Any] = (await service.get(path)).json["deliveries"]
    return listed


async def settled(service: Service, made: Any, *states: str) -> list[Any]:
    """Wait until the deliveries stand so, and return them."""
    async with asyncio.timeout(10):
        while True:
            found = await deliveries(service, made)
            if [one["state"] for one in found] == [*states]:
                return found
            await asyncio.sleep(0.005)
