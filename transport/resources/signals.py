"""`/v2/signals` and below: wait handles, and the signals that they wait for."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import falcon
import falcon.asgi

from queues.operations.signalling import Signalling
from queues.operations.signals import SignalOperations
from transport import audit
from transport.attendance import attended
from transport.signal_requests import SignalRequestReader
from transport.signal_responses import SignalResponseWriter


class _SignalResource:
    """What the resources of this file are made with."""

    def __init__(
        self,
        signals: SignalOperations,
        requests: SignalRequestReader,
        responses: SignalResponseWriter,
    ) -> None:
        self._signals = signals
        self._requests = requests
        self._responses = responses


class SignalCollection(_SignalResource):
    """`/v2/signals`."""

    rules: ClassVar = {"GET": "signals:get_all"}

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """List the wait handles of the project."""
        query, caller = self._requests.query(req), req.context.caller
        page = await self._signals.list(caller.project, query, grant=caller.identity.grant)
        self._responses.page(req, resp, page)


class SignalItem(_SignalResource):
    """`/v2/signals/{signal}`."""

    rules: ClassVar = {
        "PUT": "signals:create",
        "GET": "signals:get",
        "DELETE": "signals:delete",
    }

    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, signal: str
    ) -> None:
        """Make a wait handle, or find the same one."""
        terms = await self._requests.terms(req)
        made = await self._signals.put(req.context.caller.identity, signal, terms)
        if made.is_new:
            audit.changed(req, "signal.created", signal)
        self._responses.made(req, resp, signal, made)

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, signal: str
    ) -> None:
        """Show the handle, at once or when it has ended."""
        project, query = req.context.caller.project, self._requests.data_query(req)
        showing = partial(self._signals.show, project, signal, query)
        if wait_s := self._requests.wait_s(req):
            shown = await attended(req, wait_s, showing)
        else:
            shown = await showing()
        self._responses.shown(req, resp, signal, shown)

    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, signal: str
    ) -> None:
        """Cancel the wait."""
        if await self._signals.cancel(req.context.caller.project, signal):
            audit.changed(req, "signal.deleted", signal)
        resp.status = falcon.HTTP_204


class SignalDoor:
    """`/v2/signals/{signal}/signal`: where senders of signals knock."""

    # NOTE: nobody is asked for a Content-Type here, and a plain `curl -d` has a wrong one.
    any_content_type: ClassVar = True
    rules: ClassVar = {"PUT": "signals:signal", "POST": "signals:signal"}

    def __init__(
        self,
        signalling: Signalling,
        requests: SignalRequestReader,
        responses: SignalResponseWriter,
    ) -> None:
        """Pass signals on to `signalling`."""
        self._signalling = signalling
        self._requests = requests
        self._responses = responses

    async def on_put(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, signal: str
    ) -> None:
        """Take a signal, like Heat from cfn-signal."""
        said = await self._requests.signal(req)
        receipt = await self._signalling.send(req.context.caller.identity, signal, said)
        self._responses.received(req, resp, receipt)

    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, signal: str
    ) -> None:
        """Take a signal, like Heat from everybody else."""
        await self.on_put(req, resp, signal)
