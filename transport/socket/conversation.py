"""What happens on one socket from its opening to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

import falcon

from queues.clock import Clock
from queues.config import Settings
from queues.errors import Forbidden, MalformedBody, NuskuError
from queues.limits import check_queue_name
from queues.operations import Operations
from transport import audit, errors, media
from transport.headers import HeaderReader
from transport.identity.door import Door
from transport.socket import claims, frames, messages, queues, subscriptions
from transport.socket.action import Action, Call
from transport.socket.frames import BadFrame, Payload, Received, Reply
from transport.socket.pushes import Pushes
from transport.socket.session import Ended, NotAuthenticated, Session, Twin, as_request

_log = logging.getLogger("nusku.socket")

ACTIONS: Mapping[str, Action] = {
    **queues.ACTIONS,
    **messages.ACTIONS,
    **claims.ACTIONS,
    **subscriptions.ACTIONS,
}

#: Close codes. Source of the first: Zaqar; of the others: RFC 6455, section 7.4.1.
EXPIRED = 4003, "Authentication expired."
FORBIDDEN = 1008, "Not allowed any more."
TOO_SLOW = 1008, "Messages are not taken."
FAILED = 1011, "Internal server error."

#: A client that takes nothing for so long is given up.
_TAKE_S = 60.0

#: Whoever only listens is looked at so often.
_CHECK_S = 5.0


class Socket(Protocol):
    """What a conversation needs of a connection."""

    async def receive(self) -> Payload | None:
        """Return the next frame; None when the client is gone."""

    async def send(self, payload: Payload) -> None:
        """Send a frame; waits while the client does not take what was sent before."""

    async def close(self, code: int, reason: str) -> None:
        """Close the connection."""


class Conversation:
    """Answers frames one after the other, and sends notifications in between."""

    def __init__(
        self,
        socket: Socket,
        operations: Operations,
        settings: Settings,
        clock: Clock,
        door: Door,
    ) -> None:
        """Talk on `socket`."""
        self._socket = socket
        self._operations = operations
        self._settings = settings
        self._session = Session(door, HeaderReader(settings), operations)
        self._pushes = Pushes(
            operations, clock, self._session, send=self._send, failed=self._fail
        )
        self._failure: asyncio.Future[BaseException] = (
            asyncio.get_running_loop().create_future()
        )

    async def run(self) -> None:
        """Talk until one of both closes the connection."""
        tasks = [asyncio.create_task(self._answer()), asyncio.create_task(self._guard())]
        ends: list[asyncio.Future[Any]] = [*tasks, self._failure]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await self._pushes.close()
        failures = [one for one in ended if isinstance(one, Exception)]
        if self._failure.done():
            failures.append(self._failure.result())  # type: ignore[arg-type]
        for failure in failures:
            await self._socket.close(*_closing(failure))

    def _fail(self, ex: BaseException) -> None:
        if not self._failure.done():
            self._failure.set_result(ex)

    async def _send(self, payload: Payload) -> None:
        async with asyncio.timeout(_TAKE_S):
            await self._socket.send(payload)

    async def _guard(self) -> None:
        """See that whoever only listens still may."""
        while True:
            await asyncio.sleep(_CHECK_S)
            await self._session.check_proof()

    async def _answer(self) -> None:
        while (payload := await self._socket.receive()) is not None:
            try:
                received = frames.read(payload)
            except BadFrame as ex:
                await self._send(frames.complaint(frames.encoding(payload), str(ex)))
                continue
            reply = await self._reply(received, len(payload))
            await self._send(frames.reply(received, reply))

    async def _reply(self, received: Received, frame_bytes: int) -> Reply:
        if received.frame.action == "authenticate":
            return await self._authenticate(received)
        action = ACTIONS.get(received.frame.action)
        if action is None:
            return _error(400, f"{received.frame.action} is not a valid action")
        try:
            body = media.decode(received.body(), action.shape)
        except MalformedBody as ex:
            return Reply(400, {"error": "Schema validation failed.", "exception": str(ex)})
        return await self._perform(received, action, body, frame_bytes)

    async def _authenticate(self, received: Received) -> Reply:
        try:
            await self._session.authenticate(received.frame.headers)
        except falcon.HTTPUnauthorized as ex:
            req = as_request(Twin("GET", "/v2/websocket"), {})
            audit.refused(req, "401", ex.description or "")
            return _error(401, "Authentication failed.")
        except (falcon.HTTPError, NuskuError) as ex:
            return _failed(ex)
        return Reply(200, {"message": "Authentified."})

    async def _perform(
        self, received: Received, action: Action, body: Any, frame_bytes: int
    ) -> Reply:
        queue = getattr(body, "queue_name", None)
        path = f"/v2/queues/{queue}{action.path}" if queue is not None else "/v2/queues"
        twin = Twin(action.method, path)
        try:
            if queue is not None:
                check_queue_name("queue_name", queue)
            req, caller = await self._session.admit(
                received.frame.headers, twin, action.rule, queue
            )
            call = Call(
                self._operations,
                self._settings,
                self._pushes,
                req,
                caller,
                received.media,
                frame_bytes,
            )
            return await action.run(call, body)
        except NotAuthenticated:
            return _error(403, "Not authentified.")
        except (falcon.HTTPError, NuskuError) as ex:
            if isinstance(ex, errors.REFUSALS):
                audit.refused(as_request(twin, {}), ex.code, str(ex))
            return _failed(ex)
        except Ended:
            raise
        except Exception:
            _log.exception("%s %s failed", received.frame.action, path)
            return _error(500, "Unexpected error.")


def _error(status: int, text: str) -> Reply:
    return Reply(status, {"error": text})


def _failed(ex: falcon.HTTPError | NuskuError) -> Reply:
    """Return the reply for what HTTP would answer with an error."""
    if isinstance(ex, falcon.HTTPError):
        return Reply(ex.status_code, {"error": ex.title, "exception": ex.description})
    status, title, text, code = errors.described(ex)
    return Reply(status, {"error": title, "exception": text, "code": code})


def _closing(failure: BaseException) -> tuple[int, str]:
    if isinstance(failure, Ended):
        return EXPIRED
    if isinstance(failure, Forbidden):
        return FORBIDDEN
    if isinstance(failure, TimeoutError):
        return TOO_SLOW
    _log.error("a socket failed", exc_info=failure)
    return FAILED
