"""What happens around every request, and when a worker starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import falcon
import falcon.asgi

from queues.clock import Clock
from queues.errors import Forbidden
from queues.identity import Identity
from queues.operations import Operations
from queues.operations.sweep import sweep_forever
from queues.storage import Storage
from transport import draining, headers, request_ids, requests
from transport.audience import Audience, audience
from transport.headers import Caller, HeaderReader
from transport.identity.door import Door
from transport.identity.none import believed
from transport.socket.connection import limit_frames


class RequestContext:
    """Finds out who calls, and checks what every request must carry, in Zaqar's order.

    Sets `media`, `caller`, `detailed` and `admission` of `req.context`, as far as the audience
    of the resource needs them, and the request id of the answer. Runs for matched routes only,
    before the method is looked up; whatever matches none is answered by `transport.errors`.

    SECURITY: the one place that asks the policy. Each resource names, in `rules`, the rule of
    each of its methods.
    """

    def __init__(self, reader: HeaderReader, door: Door, operations: Operations) -> None:
        """Read headers with `reader`, and let `door` say who calls."""
        self._reader = reader
        self._door = door
        self._authorization = operations.authorization
        self._credentials = operations.credentials
        self._quotas = operations.quotas

    async def process_resource(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        resource: Any,
        params: dict[str, Any],
    ) -> None:
        """Check identity, content type, Accept, Client-ID, project, queue name and policy."""
        request_ids.show(req, resp)
        answered = audience(resource)
        if answered is Audience.ANYBODY:
            return
        _check_path(req, params)
        if answered is Audience.PROJECT:
            await self._admit(req, resource, params)
            return
        identity = await self._door.proved(req) if answered is Audience.OPERATORS else None
        headers.check_content_type(req, resource)
        req.context.media = headers.accepted(req, resource)
        if identity is not None:
            req.context.caller = Caller(identity.project, "", identity)
            self._check_policy(req, resource, identity, None)

    async def _admit(
        self, req: falcon.asgi.Request, resource: Any, params: dict[str, Any]
    ) -> None:
        identity = await self._door.proved(req) if self._door.asks(req) else None
        headers.check_content_type(req, resource)
        context = req.context
        context.media = headers.accepted(req, resource)
        client_id = self._reader.client_id(req, identity)
        identity = identity or believed(req)
        context.caller = Caller(identity.project, client_id, identity)
        context.detailed = requests.detailed(req)
        name = params.get("queue")
        if name is not None:
            headers.check_queue(name)
        elif (name := params.get("signal")) is not None:
            headers.check_signal(name)
        self._check_policy(req, resource, identity, name)
        context.admission = self, resource, name
        if not self._quotas.is_free_request(identity.project) and _is_limited(resource):
            await self._quotas.admit_request(identity.project)

    async def still_admits(
        self, req: falcon.asgi.Request, resource: Any, name: str | None
    ) -> bool:
        """Say whether what let a request in has neither expired nor been revoked since.

        Does not count as a use of a signed URL.

        Raises: StorageUnavailable, falcon.HTTPServiceUnavailable.
        """
        identity: Identity = req.context.caller.identity
        if identity.grant is not None:
            return await self._credentials.still_holds(identity.grant)
        if not self._door.asks(req):
            return True
        try:
            proved = await self._door.proved(req)
            self._check_policy(req, resource, proved or identity, name)
        except (falcon.HTTPUnauthorized, falcon.HTTPForbidden, Forbidden):
            return False
        return True

    def _check_policy(
        self, req: falcon.asgi.Request, resource: Any, identity: Identity, name: str | None
    ) -> None:
        # NOTE: a method without a rule is one that the resource does not have.
        rule = resource.rules.get(req.method)
        if rule is not None:
            self._authorization.check(rule, identity, name)


def _is_limited(resource: Any) -> bool:
    """Say whether a resource counts against rates: not where an operator sets them."""
    return getattr(resource, "limited", True)


#: Parts of paths that name something in a queue.
_ITEMS = ("message_id", "claim_id", "subscription_id", "cursor")


def _check_path(req: falcon.asgi.Request, params: dict[str, Any]) -> None:
    """Refuse paths that match a route by accident."""
    # SECURITY: an encoded slash would make one path segment out of two, or two of one; and a
    # proxy may have rules for "/v2", which Falcon finds in "//v2", too.
    raw_path = req.scope.get("raw_path", b"")
    if raw_path.startswith(b"//") or (b"%" in raw_path and b"%2f" in raw_path.lower()):
        raise falcon.HTTPRouteNotFound
    # A trailing slash is no item; an empty queue name has an error of its own.
    if "" in params.values() and any(params.get(name) == "" for name in _ITEMS):
        raise falcon.HTTPRouteNotFound


class Lifespan:
    """Opens the store when a worker starts and closes it at the end.

    In between the worker sweeps, and does what is due.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        operations: Operations,
        *,
        sweep_interval_s: float,
        max_document_bytes: int,
    ) -> None:
        """Manage `storage`, what is to be done in it, and who waits for that.

        No document of a request is larger than `max_document_bytes`.
        """
        self._storage = storage
        self._clock = clock
        self._agenda = operations.agenda
        self._waiting = operations.waiting
        self._close = operations.close
        self._sweep_interval_s = sweep_interval_s
        self._max_document_bytes = max_document_bytes
        self._sweeper: asyncio.Task[None] | None = None
        self._worker: asyncio.Task[None] | None = None

    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        """Open the store in the event loop of this worker, and start to work on it."""
        await self._storage.open()
        draining.expect(scope, self._waiting.close)
        limit_frames(scope, self._max_document_bytes)
        self._sweeper = asyncio.create_task(
            sweep_forever(self._storage, self._clock, interval_s=self._sweep_interval_s)
        )
        self._worker = asyncio.create_task(self._agenda.run())

    async def process_shutdown(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        """Stop to wait and to work, then close the store after the calls that are running."""
        self._waiting.close()
        if self._worker is not None:
            self._agenda.close()
            await self._worker
        await self._close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        await self._waiting.emptied()
        await self._storage.close()
