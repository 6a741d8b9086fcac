"""Answer 503 instead of nothing while the application cannot start.

A worker may be started at a moment when the store is away: after a crash, by a rolling
restart, or because both came up together. It then neither dies, which would make gunicorn
give up or try again in a hot loop, nor lets clients hang: it answers 503 with `Retry-After`
and tries to start the application again and again, with a pause. Wrong settings are found
before that, by `transport.trial`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

_log = logging.getLogger("nusku.server")

RETRY_S = 1.0

_BODY = json.dumps(
    {
        "title": "Service temporarily unavailable",
        "description": "The message store cannot be reached. Please try again in a few seconds.",
    }
).encode()
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
    (b"retry-after", b"5"),
]


class StartFailed(Exception):
    """The application did not start; the text is one line and says why."""

    def __init__(self, reason: str, *, is_configuration: bool = False) -> None:
        """Keep whether only a change of the configuration can help."""
        super().__init__(reason)
        self.is_configuration = is_configuration


class Lifespan:
    """Starts and stops an ASGI application."""

    def __init__(self, app: App) -> None:
        """Nothing is started yet."""
        self._app = app
        self._to_app: asyncio.Queue[Event] = asyncio.Queue()
        self._from_app: asyncio.Queue[Event] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self, state: dict[str, Any]) -> None:
        """Return when the application is ready.

        Raises: StartFailed.
        """
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": state,
        }
        self._task = asyncio.create_task(self._run(scope))
        answer = await self._ask("lifespan.startup")
        if answer["type"] != "lifespan.startup.complete":
            raise _start_failed(answer.get("message", ""))

    async def stop(self) -> None:
        """Return when the application has let go of everything."""
        answer = await self._ask("lifespan.shutdown")
        if answer["type"] != "lifespan.shutdown.complete":
            _log.error("stopping failed: %s", _last_line(answer.get("message", "")))

    async def _ask(self, event: str) -> Event:
        await self._to_app.put({"type": event})
        return await self._from_app.get()

    async def _run(self, scope: Event) -> None:
        await self._app(scope, self._to_app.get, self._from_app.put)
