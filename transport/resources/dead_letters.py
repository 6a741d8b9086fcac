"""`/v2/queues/{queue}/dead_letters` and `/v2/queues/{queue}/redrive`."""

from __future__ import annotations

from typing import ClassVar

import falcon
import falcon.asgi

from queues.operations.dead_letters import DeadLetterOperations
from transport import audit
from transport.letter_requests import LetterRequestReader
from transport.letter_responses import LetterResponseWriter


class _LetterResource:
    """What the resources of this file are made with."""

    def __init__(
        self,
        letters: DeadLetterOperations,
        requests: LetterRequestReader,
        responses: LetterResponseWriter,
    ) -> None:
        self._letters = letters
        self._requests = requests
        self._responses = responses


class DeadLetterCollection(_LetterResource):
    """`/v2/queues/{queue}/dead_letters`."""

    rules: ClassVar = {"GET": "dead_letters:get_all"}

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """List the messages that came here as dead letters, and why."""
        marker, limit = self._requests.page(req)
        project = req.context.caller.project
        page = await self._letters.list(project, queue, marker=marker, limit=limit)
        self._responses.letters(req, resp, queue, page)


class QueueRedrive(_LetterResource):
    """`/v2/queues/{queue}/redrive`: the one that runs, or the last one."""

    rules: ClassVar = {
        "POST": "redrives:create",
        "GET": "redrives:get",
        "DELETE": "redrives:delete",
    }

    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Begin to send dead letters back."""
        wanted = await self._requests.wanted(req)
        redrive = await self._letters.start(req.context.caller.identity, queue, wanted)
        audit.changed(req, "redrive.started", queue)
        self._responses.started(req, resp, queue, redrive)

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Show how far it has got."""
        redrive = await self._letters.get(req.context.caller.project, queue)
        self._responses.redrive(req, resp, redrive)

    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Cancel it; what it has moved stays moved."""
        redrive = await self._letters.cancel(req.context.caller.project, queue)
        audit.changed(req, "redrive.cancelled", queue)
        self._responses.redrive(req, resp, redrive)
