"""Answer 503 instead of nothing while the application cannot start.

A worker may be started at a moment when the store is away: after a crash, by a rolling
restart, or because both came up together. It then neither dies, which would make gunicorn
give up or try again in a hot loop, nor lets clients hang: it answers 503 with `Retry-After`
and starts the application anew after a pause, again and again. Wrong settings are found
before that, by `transport.trial`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from queues.errors import StorageUnavailable
from transport.errors import RETRY_AFTER_S

Event = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]

#: Pause between two attempts to start.
RETRY_S = 1.0

_log = logging.getLogger("nusku.server")

_BODY = json.dumps(
    {
        "title": "Service temporarily unavailable",
        "description": "The store cannot be reached. Please retry in a few seconds.",
        "code": StorageUnavailable.code,
    }
).encode()
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
    (b"retry-after", str(RETRY_AFTER_S).encode()),
]


class Standby:
    """An ASGI application that stands in for another one until that has started."""

    def __init__(self, compose: Callable[[], App]) -> None:
        """Serve what `compose` returns; it is called anew for each attempt to start."""
        self._compose = compose
        self._serving: App = _unavailable
        self._started: Lifespan | None = None

    async def __call__(self, scope: Event, receive: Any, send: Any) -> None:
        """Handle the lifespan here, and pass everything else on."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self._serving(scope, receive, send)

    async def _lifespan(self, scope: Event, receive: Any, send: Any) -> None:
        await receive()
        tried = asyncio.Event()
        # A task group, so that a mistake in the program is heard and ends the worker.
        async with asyncio.TaskGroup() as tasks:
            starting = tasks.create_task(self._start(scope, tried))
            await tried.wait()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            starting.cancel()
        if self._started is not None:
            failure = await self._started.stop()
            if failure is not None:
                _log.error("did not stop cleanly: %s", failure)
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self, scope: Event, tried: asyncio.Event) -> None:
        """Start the application, however many attempts it takes."""
        while self._started is None:
            app = self._compose()
            lifespan = Lifespan(app, scope)
            failure = await lifespan.start()
            if failure is None:
                _log.info("ready")
                self._serving, self._started = app, lifespan
                tried.set()
            else:
                _log.error("not ready, trying again in %g s: %s", RETRY_S, failure)
                tried.set()
                await asyncio.sleep(RETRY_S)


async def _unavailable(scope: Event, receive: Any, send: Any) -> None:
    kind = "websocket.http" if scope["type"] == "websocket" else "http"
    await send({"type": f"{kind}.response.start", "status": 503, "headers": _HEADERS})
    await send({"type": f"{kind}.response.body", "body": _BODY})


class Lifespan:
    """Starts and stops an ASGI application."""

    def __init__(self, app: App, scope: Event) -> None:
        """Call `app` with the lifespan scope of the server; it waits for `start`."""
        self._app = app
        self._scope = scope
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._answers: asyncio.Queue[Event] = asyncio.Queue()
        self._running: asyncio.Task[None] = asyncio.create_task(self._run())

    async def start(self) -> str | None:
        """Return None once the application is ready, or one line on why it is not."""
        return await self._ask("startup")

    async def stop(self) -> str | None:
        """Return None once the application has let go of everything, or why it has not."""
        return await self._ask("shutdown")

    async def _run(self) -> None:
        await self._app(self._scope, self._events.get, self._answers.put)

    async def _ask(self, event: str) -> str | None:
        await self._events.put({"type": f"lifespan.{event}"})
        answering = asyncio.create_task(self._answers.get())
        await asyncio.wait({answering, self._running}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done() and self._answers.empty():
            answering.cancel()
            await self._running  # raises what ended the application
            return "the application ended without an answer"
        answer = await answering
        if answer["type"] == f"lifespan.{event}.complete":
            return None
        # Falcon gives the traceback, whose last line is the error.
        return str(answer.get("message") or "no reason given").strip().splitlines()[-1]
