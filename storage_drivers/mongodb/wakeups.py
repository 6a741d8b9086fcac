"""Wake-ups: from the documents of queues, which change with each post, and of told topics.

A post marks nothing: that its reservation is closed, which nobody waits for, can be seen by
all. For everything else the topic has a document of its own that is marked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from asyncio import Future, Task

from pymongo.errors import OperationFailure, PyMongoError

from queues.model import Topic, TopicKind
from queues.wakeups import Heard, Wakeups
from storage_drivers.mongodb.change_stream import ChangeStream
from storage_drivers.mongodb.hints import Hints
from storage_drivers.mongodb.layout import Database, queue_names, told_id
from storage_drivers.mongodb.poll import Poll
from storage_drivers.mongodb.telling import Teller

_log = logging.getLogger(__name__)

#: Questions of a poll, and attempts to listen again, are so far apart.
_PAUSE_S = 1.0

#: Who begins to watch waits no longer than this for a store that seems to be away.
_PATIENCE_S = 1.0

#: Not authorised, or no replica set: the server is asked instead.
_NO_STREAMS = frozenset({13, 40573})


class MongoWakeups(Wakeups):
    """Hints from the collection `queues`."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._hints = Hints()
        self._teller = Teller(db)
        self._listening: Task[None] | None = None
        self._streaming = False
        self._waiting: list[Future[None]] = []
        self._bell = asyncio.Event()
        self._missed = False
        self._closed = False

    def listen(self, heard: Heard) -> None:
        """See Wakeups."""
        self._hints.heard = heard

    async def watch(self, topic: Topic) -> None:
        """See Wakeups. Waits for a stream, or for a question that is about the topic."""
        if self._closed:
            return
        self._hints.add(topic)
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        if self._streaming:
            return
        answer: Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._bell.set()
        _, late = await asyncio.wait([answer], timeout=_PATIENCE_S)
        self._missed = self._missed or bool(late)

    async def forget(self, topic: Topic) -> None:
        """See Wakeups."""
        self._hints.remove(topic)

    def tell(self, topic: Topic) -> None:
        """See Wakeups."""
        document_id = told_id(topic.project, topic.kind, topic.name)
        self._hints.of([document_id])
        self._teller.tell(document_id)

    def hint(self, queue_id: str) -> None:
        """Let those in this process hear of the queue; the others see it by themselves."""
        if queue_id in self._hints:
            self._hints.of([queue_id])

    def tell_queue(self, queue_id: str) -> None:
        """Let all who watch the queue hear of it."""
        project, queue = queue_names(queue_id)
        self.tell(Topic(project, TopicKind.QUEUE, queue))

    async def close(self) -> None:
        """Hear nothing more, and tell what is still to be told."""
        self._closed = True
        self._hints.clear()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        _release(self._waiting)
        await self._teller.close()

    async def _listen(self) -> None:
        """Listen while anything is watched; after an interruption, hint at everything."""
        poll = Poll(self.db, self._hints)
        try:
            while self._hints:
                await self._hear(poll)
        finally:
            self._listening = None

    async def _hear(self, poll: Poll) -> None:
        try:
            await (self._follow() if self.db.streams else self._ask(poll))
        except PyMongoError as ex:
            if isinstance(ex, OperationFailure) and ex.code in _NO_STREAMS:
                self.db.streams = False
                return
            _log.warning("nothing is heard for a moment: %s", type(ex).__name__)
            self._missed = True
            _release(self._waiting)
            await asyncio.sleep(_PAUSE_S)

    async def _follow(self) -> None:
        """Hear of changes as they happen, until nothing is watched any more."""
        try:
            await ChangeStream(self.db, self._hints).hear(self._opened)
        finally:
            self._streaming = False
        if self._hints:
            # NOTE: the server ended the stream, or somebody began to watch as it was closed.
            self._missed = True
            await asyncio.sleep(_PAUSE_S)

    def _opened(self) -> None:
        self._streaming = True
        _release(self._waiting)
        self._resumed()

    async def _ask(self, poll: Poll) -> None:
        """Ask once, then pause until it is time, or somebody begins to watch."""
        self._bell.clear()
        asked, self._waiting = self._waiting, []
        try:
            await poll.ask()
        finally:
            _release(asked)
        self._resumed()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._bell.wait(), _PAUSE_S)

    def _resumed(self) -> None:
        if self._missed:
            self._missed = False
            self._hints.of_everything()


def _release(waiting: list[Future[None]]) -> None:
    """Let all go that wait, and forget them."""
    for answer in waiting:
        if not answer.done():
            answer.set_result(None)
    waiting.clear()
