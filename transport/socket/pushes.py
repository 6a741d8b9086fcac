"""Notifications to the socket itself: of everything that is posted to a queue from now on.

They belong to the socket and end with it, and come as fast as the client takes them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from queues.errors import CursorNotFound, CursorTooOld, InvalidRequest
from queues.model import Topic, TopicKind
from queues.operations import Operations
from transport import errors
from transport.socket.frames import Payload
from transport.socket.push import Push, Terms
from transport.socket.session import Session

#: A socket may have so many of them.
MOST = 20

#: Hearing of what is posted is reading it.
RULE = "messages:get_all"

#: Hints say when to look; without one, this is soon enough.
_PAUSE_S = 3600.0

#: What is away says nothing when it is back, and is asked again after this.
_RETRY_S = 5.0


class Pushes:
    """The subscriptions of one socket.

    PERF: they take turns, so a socket keeps one page in memory however many there are.
    """

    def __init__(
        self,
        operations: Operations,
        session: Session,
        send: Callable[[Payload], Awaitable[None]],
        begin: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        *,
        page: int,
    ) -> None:
        """Send by `send`, `page` messages in a turn; `begin` runs tasks of the socket."""
        self._operations = operations
        self._session = session
        self._send = send
        self._begin = begin
        self._page = page
        self._turn = asyncio.Lock()
        self._pushes: dict[str, Push] = {}

    async def add(self, terms: Terms) -> Push:
        """Notify of what is posted to a queue.

        Raises: InvalidRequest for too many, or a marker of another queue; CursorNotFound.
        """
        if len(self._pushes) >= MOST:
            raise InvalidRequest(f"A socket cannot have more than {MOST} subscriptions.")
        push_id = secrets.token_hex(12)
        push = Push(push_id, terms, self._operations, self._send, page=self._page)
        await push.find_start()
        self._pushes[push_id] = push
        push.task = self._begin(self._follow(push))
        return push

    def of(self, queue: str) -> list[Push]:
        """Return those of a queue."""
        return [push for push in self._pushes.values() if push.terms.queue == queue]

    def get(self, queue: str, push_id: str) -> Push | None:
        """Return one, or None."""
        push = self._pushes.get(push_id)
        return push if push is not None and push.terms.queue == queue else None

    def end(self, push: Push) -> None:
        """End one."""
        del self._pushes[push.id]
        if push.task is not None:
            push.task.cancel()

    async def _follow(self, push: Push) -> None:
        room = self._operations.waiting
        topic = Topic(push.terms.project, TopicKind.QUEUE, push.terms.queue)
        async with room.watching(topic) as bell:
            while not room.is_closed:
                try:
                    while await self._send_next(push):
                        pass
                except errors.AWAY:
                    await bell.heard(_RETRY_S)
                except CursorNotFound as ex:
                    del self._pushes[push.id]
                    await push.tell_end(ex)
                    return
                else:
                    await bell.heard(_PAUSE_S)

    async def _send_next(self, push: Push) -> bool:
        """Send a page, while whoever listens still may; say if there was one."""
        async with self._turn:
            try:
                messages = await push.read()
            except CursorTooOld as ex:
                await push.tell_lost(ex)
                return True
            if messages is None:
                return False
            await self._session.check(RULE, push.terms.queue)
            await push.send(messages)
            return True
