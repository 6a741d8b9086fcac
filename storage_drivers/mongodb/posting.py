"""Posts without a key: those that wait for the same queue share one reservation and insert.

Two commands store any number of posts. The reservation is closed by the next one, or in the
background right after, so nobody waits for that.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import Future, Task
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pymongo.errors import BulkWriteError, PyMongoError

from queues.errors import QueueChanged, StorageUnavailable
from queues.model import NewMessage
from storage_drivers.mongodb import codec, sequence
from storage_drivers.mongodb.errors import stored_before_duplicate
from storage_drivers.mongodb.layout import Database

_log = logging.getLogger(__name__)

#: One insert stores at most so much of what waits (a single post may be larger).
_MESSAGES_PER_INSERT = 1000
_BYTES_PER_INSERT = 8_000_000


@dataclass
class _Post:
    messages: Sequence[NewMessage]
    now_ms: int
    answer: Future[list[int]]
    seqs: list[int] = field(default_factory=list)


class Poster:
    """One lane for each queue and version that is being posted to."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lanes: dict[tuple[str, int], deque[_Post]] = {}
        self._tasks: set[Task[None]] = set()

    async def post(
        self, queue_id: str, version: int, messages: Sequence[NewMessage], *, now_ms: int
    ) -> Sequence[int]:
        """Store the messages together with what else is waiting.

        Raises: QueueChanged; PyMongoError.
        """
        answer: Future[list[int]] = asyncio.get_running_loop().create_future()
        post = _Post(messages, now_ms, answer)
        lane = self._lanes.get((queue_id, version))
        if lane is None:
            lane = self._lanes[queue_id, version] = deque()
            self._start(self._run(queue_id, version, lane))
        lane.append(post)
        return await answer

    def close_later(self, queue_id: str, token: str) -> None:
        """Close a reservation without keeping anybody waiting."""
        self._start(self._close(queue_id, [token]))

    async def drain(self) -> None:
        """Wait until all that was accepted is stored."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: object) -> None:
        task: Task[None] = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, queue_id: str, version: int, lane: deque[_Post]) -> None:
        closing: list[str] = []
        try:
            while posts := _take(lane):
                try:
                    closing = await self._store(queue_id, version, posts, closing)
                except (PyMongoError, QueueChanged, StorageUnavailable) as ex:
                    _refuse(posts, ex)
        finally:
            del self._lanes[queue_id, version]
        if closing:
            await self._close(queue_id, closing)

    async def _store(
        self, queue_id: str, version: int, posts: list[_Post], closing: Iterable[str]
    ) -> list[str]:
        """Store the posts and return the reservations that are to be closed then.

        NOTE: an insert that fails in an unknown way may still arrive, so its reservation
        stays open until a reader fences it.
        """
        waiting = [(post, new) for post in posts for new in post.messages]
        fenced = False
        while waiting:
            taken = await sequence.reserve(
                self._db,
                queue_id,
                len(waiting),
                version=version,
                closing=closing,
                repeated=fenced,
                now_ms=posts[0].now_ms,
            )
            if taken is None:
                raise _gone(posts)
            closing = [taken.token]
            stored = await self._insert(taken, waiting)
            for offset, (post, _) in enumerate(waiting[:stored]):
                post.seqs.append(taken.first + offset)
            waiting, fenced = waiting[stored:], True
        for post in posts:
            if not post.answer.done():
                post.answer.set_result(post.seqs)
        return list(closing)

    async def _insert(
        self, taken: sequence.Reservation, waiting: list[tuple[_Post, NewMessage]]
    ) -> int:
        """Insert in order and return how many went in before a fence was met."""
        docs = [
            codec.message_document(taken.bucket, taken.first + offset, new, post.now_ms)
            for offset, (post, new) in enumerate(waiting)
        ]
        try:
            await self._db.messages.insert_many(docs)
        except BulkWriteError as ex:
            return stored_before_duplicate(ex)
        return len(docs)

    async def _close(self, queue_id: str, tokens: Iterable[str]) -> None:
        try:
            await sequence.close(self._db, queue_id, tokens)
        except PyMongoError as ex:
            _log.warning("a reservation stays open until it is fenced: %s", type(ex).__name__)


def _take(lane: deque[_Post]) -> list[_Post]:
    """Take posts from the lane whose callers still wait, up to the limits of an insert."""
    posts: list[_Post] = []
    count = size = 0
    while lane:
        post = lane[0]
        count += len(post.messages)
        size += sum(len(new.body) for new in post.messages)
        if posts and (count > _MESSAGES_PER_INSERT or size > _BYTES_PER_INSERT):
            break
        lane.popleft()
        if not post.answer.done():
            posts.append(post)
    return posts


def _gone(posts: list[_Post]) -> Exception:
    """Return what to tell when the queue cannot be written to (any more)."""
    if any(post.seqs for post in posts):
        return StorageUnavailable("the queue changed while a fenced post was repeated")
    return QueueChanged("the queue is not at this version")


def _refuse(posts: list[_Post], ex: Exception) -> None:
    for post in posts:
        if not post.answer.done():
            post.answer.set_exception(ex)
