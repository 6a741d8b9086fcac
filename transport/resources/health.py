"""`/v2/ping` and `/v2/health`: is the service there, and how is its store."""

from __future__ import annotations

from time import perf_counter
from typing import ClassVar

import falcon
import falcon.asgi

from queues.operations import Operations
from transport.audience import Audience
from transport.responses import ResponseWriter


class Ping:
    """`/v2/ping`."""

    audience = Audience.WATCHERS

    def __init__(self, operations: Operations) -> None:
        """Ask the store behind `operations`."""
        self._operations = operations

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer 204 if the store answers, else 503."""
        await self._operations.health()
        resp.status = falcon.HTTP_204

    async def on_head(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer 204: this process is alive, whatever its store does."""
        resp.status = falcon.HTTP_204


class HealthReport:
    """`/v2/health`."""

    rules: ClassVar = {"GET": "health:get"}

    audience = Audience.OPERATORS

    def __init__(self, operations: Operations, responses: ResponseWriter) -> None:
        """Ask the store behind `operations`."""
        self._operations = operations
        self._responses = responses

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Show the durability that the store promises and what it warns of, or 503."""
        begin_s = perf_counter()
        health = await self._operations.health()
        self._responses.health(req, resp, health, perf_counter() - begin_s)
