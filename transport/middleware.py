"""What happens around every request, and when a worker starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import falcon
import falcon.asgi

from queues.clock import Clock
from queues.operations.sweep import sweep_forever
from queues.storage import Storage
from transport import headers, request_ids, requests
from transport.audience import Audience, audience
from transport.headers import HeaderReader


class RequestContext:
    """Checks the headers that every request must carry, in Zaqar's order.

    Sets `media`, `caller` and `detailed` of `req.context`, as far as the audience of the
    resource needs them, and the request id of the answer. Runs for matched routes only,
    before the method is looked up; whatever matches none is answered by `transport.errors`.
    """

    def __init__(self, reader: HeaderReader) -> None:
        """Read headers with `reader`."""
        self._reader = reader

    async def process_resource(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        resource: object,
        params: dict[str, Any],
    ) -> None:
        """Check content type, Accept, Client-ID, X-Project-ID and the queue name."""
        request_ids.show(req, resp)
        answered = audience(resource)
        if answered is Audience.ANYBODY:
            return
        _check_path(req, params)
        headers.check_content_type(req)
        req.context.media = headers.accepted(req)
        if answered is Audience.WATCHERS:
            return
        req.context.caller = self._reader.caller(req)
        req.context.detailed = requests.detailed(req)
        if "queue" in params:
            headers.check_queue(params["queue"])


def _check_path(req: falcon.asgi.Request, params: dict[str, Any]) -> None:
    """Refuse paths that match a route by accident."""
    # SECURITY: an encoded slash would make one path segment out of two, or two of one; and a
    # proxy may have rules for "/v2", which Falcon finds in "//v2", too.
    raw_path = req.scope.get("raw_path", b"")
    if raw_path.startswith(b"//") or (b"%" in raw_path and b"%2f" in raw_path.lower()):
        raise falcon.HTTPRouteNotFound
    # A trailing slash is no message and no claim; an empty queue name has an error of its own.
    if "" in (params.get("message_id"), params.get("claim_id")):
        raise falcon.HTTPRouteNotFound


class Lifespan:
    """Opens the store when a worker starts, sweeps while it runs, closes it at the end."""

    def __init__(self, storage: Storage, clock: Clock, *, sweep_interval_s: float) -> None:
        """Manage `storage`."""
        self._storage = storage
        self._clock = clock
        self._sweep_interval_s = sweep_interval_s
        self._sweeper: asyncio.Task[None] | None = None

    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        """Open the store in the event loop of this worker, and start to sweep."""
        await self._storage.open()
        self._sweeper = asyncio.create_task(
            sweep_forever(self._storage, self._clock, interval_s=self._sweep_interval_s)
        )

    async def process_shutdown(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        """Stop to sweep, then close the store after the calls that are running."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        await self._storage.close()
