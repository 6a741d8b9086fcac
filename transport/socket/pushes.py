"""Notifications to the socket itself: of everything that is posted to a queue from now on.

They belong to the socket and end with it. Each reads its queue in order, as fast as the
client takes what is sent, and keeps no more than one page in memory.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from queues import ids
from queues.clock import Clock
from queues.errors import InvalidRequest, StorageUnavailable
from queues.model import Media, Message, Topic, TopicKind
from queues.operations import Operations
from queues.operations.messages import Snapshot
from transport import media
from transport.socket import frames
from transport.socket.frames import Payload
from transport.socket.session import Session

#: A socket may have so many of them.
MOST = 20

#: Without a hint, a push looks all the same after so long, and whether it still may.
_PAUSE_S = 30.0

#: A store that is away is asked again after this.
_RETRY_S = 1.0

_RULE = "messages:get_all"


@dataclass(slots=True)
class Push:
    """A subscription of this socket. `after_seq` is what was sent last."""

    id: str
    project: str
    queue: str
    media: Media
    shows_ids: bool
    created_ms: int
    after_seq: int
    task: asyncio.Task[None] | None = None


class Pushes:
    """The pushes of one socket."""

    def __init__(
        self,
        operations: Operations,
        clock: Clock,
        session: Session,
        *,
        send: Callable[[Payload], Awaitable[None]],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Send by `send`; whatever ends a push ends the socket, by `failed`."""
        self._following = operations.following
        self._waiting = operations.waiting
        self._clock = clock
        self._session = session
        self._send = send
        self._failed = failed
        self._pushes: dict[str, Push] = {}

    async def begin(
        self,
        project: str,
        queue: str,
        *,
        marker: str | None,
        shows_ids: bool,
        encoding: Media,
    ) -> Push:
        """Notify of what comes after the message `marker`, or after now.

        Raises: InvalidRequest for too many, or a marker of another queue.
        """
        if len(self._pushes) >= MOST:
            raise InvalidRequest(f"A socket cannot have more than {MOST} subscriptions.")
        start = await self._following.start(project, queue, marker)
        now_ms, push_id = self._clock.now_ms(), secrets.token_hex(12)
        push = Push(push_id, project, queue, encoding, shows_ids, now_ms, start)
        self._pushes[push_id] = push
        push.task = asyncio.create_task(self._run(push))
        return push

    def of(self, queue: str) -> list[Push]:
        """Return those of a queue, by id."""
        found = (push for push in self._pushes.values() if push.queue == queue)
        return sorted(found, key=lambda push: push.id)

    def get(self, queue: str, push_id: str) -> Push | None:
        """Return one, or None."""
        push = self._pushes.get(push_id)
        return push if push is not None and push.queue == queue else None

    def end(self, queue: str, push_id: str) -> bool:
        """End one, and say if there was one."""
        push = self.get(queue, push_id)
        if push is None:
            return False
        del self._pushes[push_id]
        if push.task is not None:
            push.task.cancel()
        return True

    async def close(self) -> None:
        """End all."""
        tasks = [push.task for push in self._pushes.values() if push.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, push: Push) -> None:
        try:
            await self._follow(push)
        except Exception as ex:  # (it ends the socket, which says why)
            self._failed(ex)

    async def _follow(self, push: Push) -> None:
        topic = Topic(push.project, TopicKind.QUEUE, push.queue)
        async with self._waiting.watching(topic) as bell:
            while not self._waiting.is_closed:
                try:
                    await self._send_new(push)
                except StorageUnavailable:
                    await asyncio.sleep(_RETRY_S)
                else:
                    await bell.heard(_PAUSE_S)

    async def _send_new(self, push: Push) -> None:
        """Send all that there is; each page only while whoever listens still may."""
        while True:
            page = await self._following.read(push.project, push.queue, push.after_seq)
            if page.next_seq is None:
                return
            await self._session.check(_RULE, push.queue)
            for message in page.messages:
                await self._send(frames.pushed(_notification(push, page, message), push.media))
                push.after_seq = message.seq
            push.after_seq = page.next_seq


def _notification(push: Push, page: Snapshot, message: Message) -> dict[str, Any]:
    """Return Zaqar's notification; clients compare it, so what is ours comes on demand."""
    shown = {
        "body": media.as_media(message.body, message.media, push.media),
        "ttl": message.ttl_s,
        "queue_name": push.queue,
        "Message_Type": "Notification",
    }
    if push.shows_ids:
        shown["id"] = ids.message_id(message.seq, page.tag)
    return shown
