"""What happens on one socket from its opening to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

import falcon
import falcon.asgi

from queues.config import Settings
from queues.errors import Forbidden, MalformedBody, RateExceeded
from queues.limits import DEFAULT_PAGE
from queues.operations import Operations
from transport import errors, media
from transport.headers import Caller, HeaderReader
from transport.identity.door import Door
from transport.socket import claims, cursors, frames, messages, queues, subscriptions
from transport.socket.action import Action, Call
from transport.socket.frames import BadFrame, Payload, Received, Reply
from transport.socket.pushes import Pushes
from transport.socket.session import Ended, Session, Twin

_log = logging.getLogger("nusku.socket")

ACTIONS: Mapping[str, Action] = {
    **queues.ACTIONS,
    **messages.ACTIONS,
    **claims.ACTIONS,
    **cursors.ACTIONS,
    **subscriptions.ACTIONS,
}

#: Close codes. Source of the first: Zaqar; of the others: RFC 6455, section 7.4.1, and the
#: registry of IANA.
EXPIRED = 4003, "Authentication expired."
FORBIDDEN = 1008, "Not allowed any more."
FAILED = 1011, "Internal server error."
RESTART = 1012, "The server restarts."

#: Whoever only listens is looked at so often.
CHECK_S = 5.0

# PERF: at whole seconds, so that those who look share one question to the store.
_BEAT_S = 1.0


class Socket(Protocol):
    """What a conversation needs of a connection."""

    async def receive(self) -> Payload | None:
        """Return the next frame; None when the client is gone."""

    async def send(self, payload: Payload) -> None:
        """Send a frame; waits while the client does not take what was sent before."""

    async def close(self, code: int, reason: str) -> None:
        """Close the connection."""


class _Gone(Exception):
    """The client is gone."""


class _Draining(Exception):
    """The server is about to stop."""


class Conversation:
    """Answers frames one after the other, and sends notifications in between."""

    def __init__(
        self,
        socket: Socket,
        handshake: falcon.asgi.Request,
        operations: Operations,
        settings: Settings,
        door: Door,
    ) -> None:
        """Talk on `socket`, which began with `handshake`."""
        self._socket = socket
        self._operations = operations
        self._settings = settings
        self._session = Session(handshake, door, HeaderReader(settings), operations)
        page = min(DEFAULT_PAGE, settings.max_messages_per_page)
        self._pushes = Pushes(operations, self._session, socket.send, self._begin, page=page)
        self._in_hand = asyncio.Lock()
        self._tasks = asyncio.TaskGroup()

    async def run(self) -> None:
        """Talk until one of both ends it. The frame in hand is answered before."""
        try:
            async with self._tasks:
                for work in (self._answer(), self._guard(), self._drain()):
                    self._begin(work)
        except ExceptionGroup as ended:
            cause = ended.exceptions[0]
            if not isinstance(cause, _Gone):
                await self._socket.close(*_closing(cause))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something at the same time; its failure ends the conversation."""
        return self._tasks.create_task(self._ending(work))

    async def _ending(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            await self._in_hand.acquire()
            raise

    async def _guard(self) -> None:
        """See that whoever only listens still may."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_S - loop.time() % _BEAT_S)
            try:
                await self._session.check()
            except errors.AWAY:
                continue

    async def _drain(self) -> None:
        await self._operations.waiting.closed()
        raise _Draining

    async def _answer(self) -> None:
        while (payload := await self._socket.receive()) is not None:
            async with self._in_hand:
                await self._socket.send(await self._reply(payload))
        raise _Gone

    async def _reply(self, payload: Payload) -> Payload:
        try:
            received = frames.read(payload)
        except BadFrame as ex:
            return frames.complaint(frames.encoding(payload), str(ex))
        if received.frame.action == "authenticate":
            return frames.reply(received, await self._authenticate(received))
        return frames.reply(received, await self._perform(received))

    async def _authenticate(self, received: Received) -> Reply:
        req = self._session.proof(received.frame.headers)
        try:
            await self._session.authenticate(req)
        except falcon.HTTPUnauthorized as ex:
            errors.noted(req, ex)
            return Reply(401, {"error": "Authentication failed."})
        except Exception as ex:
            return await _failed(req, ex)
        return Reply(200, {"message": "Authentified."})

    async def _perform(self, received: Received) -> Reply:
        name = received.frame.action
        action = ACTIONS.get(name)
        if action is None:
            return Reply(400, {"error": f"{name} is not a valid action"})
        # NOTE: a post has a limit of its own, which is that of its queue.
        cap_bytes = self._settings.max_queue_metadata_bytes
        if name != "message_post" and len(received.frame.body) > cap_bytes:
            return Reply(400, {"error": f"The body must not exceed {cap_bytes} bytes."})
        try:
            body = media.decode(received.body(), action.shape)
        except MalformedBody as ex:
            return Reply(400, {"error": "Schema validation failed.", "exception": str(ex)})
        queue = getattr(body, "queue_name", None)
        path = "/v2/queues" if queue is None else f"/v2/queues/{queue}{action.path}"
        req = self._session.twin(Twin(action.method, path), received.frame.headers)
        try:
            caller = await self._session.admit(
                req, action.rule, queue, may_be_signed=name in messages.ACTIONS
            )
            return await action.run(self._call(received, req, caller), body)
        except Ended:
            raise
        except Exception as ex:
            return await _failed(req, ex)

    def _call(self, received: Received, req: falcon.asgi.Request, caller: Caller) -> Call:
        return Call(
            self._operations,
            self._settings,
            self._pushes,
            req,
            caller,
            received.media,
            len(received.frame.body),
        )


async def _failed(req: falcon.asgi.Request, ex: Exception) -> Reply:
    """Return the reply for what HTTP would answer with an error."""
    told = errors.noted(req, ex)
    if isinstance(ex, RateExceeded):
        await asyncio.sleep(errors.REFUSAL_PAUSE_S)
    # NOTE: Zaqar's clients take a 429 for success, and nothing on a socket says who they are.
    status = 503 if told.status == 429 else told.status
    shown = {"error": told.title, "exception": told.text, "code": told.code}
    kept = {name: text for name, text in shown.items() if text is not None}
    return Reply(status, kept, errors.retry_after_s(ex))


def _closing(cause: Exception) -> tuple[int, str]:
    if isinstance(cause, Ended):
        return EXPIRED
    if isinstance(cause, Forbidden | falcon.HTTPForbidden):
        return FORBIDDEN
    if isinstance(cause, _Draining):
        return RESTART
    _log.error("a socket failed", exc_info=cause)
    return FAILED
