"""Posts without a key: those that wait for the same queue share one reservation and insert.

Two commands store any number of posts. The reservation is closed by the next one, or in the
background right after, so nobody waits for that. Posts with an outbox share with their like
only, as they take two commands more.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import Future, Task
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from pymongo.errors import BulkWriteError, PyMongoError

from queues.errors import QueueChanged, StorageUnavailable
from queues.model import NewMessage
from storage_drivers.mongodb import codec, outbox, sequence
from storage_drivers.mongodb.errors import stored_before_duplicate
from storage_drivers.mongodb.layout import Database
from storage_drivers.mongodb.outbox import Outbox

_log = logging.getLogger(__name__)

#: One insert stores at most so much of what waits (a single post may be larger).
_MESSAGES_PER_INSERT = 1000
_BYTES_PER_INSERT = 8_000_000


@dataclass
class _Post:
    messages: Sequence[NewMessage]
    now_ms: int
    answer: Future[list[int]]
    outbox: Outbox | None
    seqs: list[int] = field(default_factory=list)

    @property
    def left(self) -> Sequence[NewMessage]:
        """Return the messages that are not stored yet."""
        return self.messages[len(self.seqs) :]


class Poster:
    """A lane for each queue and version that is being posted to, and one for outboxes."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lanes: dict[tuple[str, int, bool], deque[_Post]] = {}
        self._tasks: set[Task[None]] = set()

    async def post(
        self,
        queue_id: str,
        version: int,
        messages: Sequence[NewMessage],
        outbox: Outbox | None,
        *,
        now_ms: int,
    ) -> Sequence[int]:
        """Store the messages together with what else is waiting.

        Raises: QueueChanged; PyMongoError.
        """
        answer: Future[list[int]] = asyncio.get_running_loop().create_future()
        post = _Post(messages, now_ms, answer, outbox)
        name = (queue_id, version, outbox is not None)
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = deque()
            self._start(self._run(name, lane))
        lane.append(post)
        return await answer

    def close_later(self, queue_id: str, token: str) -> None:
        """Close a reservation without keeping anybody waiting."""
        self._start(self._close(queue_id, [token]))

    async def drain(self) -> None:
        """Wait until all that was accepted is stored.

        NOTE: `gather` of tasks that are done does not yield since Python 3.12, so they would
        never leave the set.
        """
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, work: object) -> None:
        task: Task[None] = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, name: tuple[str, int, bool], lane: deque[_Post]) -> None:
        queue_id, version, _ = name
        closing: list[str] = []
        try:
            while posts := _take(lane):
                try:
                    closing = await self._store(queue_id, version, posts, closing)
                except (PyMongoError, QueueChanged, StorageUnavailable) as ex:
                    _refuse(posts, ex)
        finally:
            del self._lanes[name]
        if closing:
            await self._close(queue_id, closing)

    async def _store(
        self, queue_id: str, version: int, posts: list[_Post], closing: Iterable[str]
    ) -> list[str]:
        """Store the posts and return the reservations that are to be closed then.

        NOTE: an insert that fails in an unknown way may still arrive, so its reservation
        stays open until a reader fences it.
        """
        waiting, fenced = posts, False
        while waiting:
            taken = await sequence.reserve(
                self._db,
                queue_id,
                sum(len(post.left) for post in waiting),
                version=version,
                closing=closing,
                repeated=fenced,
                now_ms=posts[0].now_ms,
            )
            if taken is None:
                raise _gone(posts)
            closing, fenced = [taken.token], True
            await self._hold(taken, waiting)
            stored = await self._insert(taken, waiting)
            _number(waiting, taken.seqs[:stored])
            await self._release(waiting)
            waiting = [post for post in waiting if post.left and not post.answer.done()]
        for post in posts:
            if not post.answer.done():
                post.answer.set_result(post.seqs)
        return list(closing)

    async def _insert(self, taken: sequence.Reservation, waiting: list[_Post]) -> int:
        """Insert in order and return how many went in before a fence was met."""
        pairs = [(post, new) for post in waiting for new in post.left]
        docs = [
            codec.message_document(taken.bucket, seq, new, post.now_ms)
            for seq, (post, new) in zip(taken.seqs, pairs, strict=True)
        ]
        try:
            await self._db.messages.insert_many(docs)
        except BulkWriteError as ex:
            return stored_before_duplicate(ex)
        return len(docs)

    async def _hold(self, taken: sequence.Reservation, waiting: list[_Post]) -> None:
        """Store the records of the posts, if they are to leave any."""
        first, held = taken.first, []
        for post in waiting:
            if post.outbox:
                post.outbox = post.outbox.of(first)
                held.append(post.outbox)
            first += len(post.left)
        if held:
            await outbox.hold(self._db, held, now_ms=max(post.now_ms for post in waiting))

    async def _release(self, tried: list[_Post]) -> None:
        """Make the records of stored posts due, and remove those of posts not stored.

        A record tells of one post in one piece, so a post that was cut in two by a fence is
        not acknowledged: it is as if its writer had died in the middle.
        """
        told = [post for post in tried if post.outbox]
        if not told:
            return
        for post in told:
            if post.seqs and post.left:
                _refuse([post], StorageUnavailable("a fence cut the post in two"))
        whole = [post.outbox for post in told if post.outbox and not post.left]
        await outbox.release(self._db, whole)
        absent = [post.outbox for post in told if post.outbox and not post.seqs]
        await outbox.withdraw(self._db, absent)

    async def _close(self, queue_id: str, tokens: Iterable[str]) -> None:
        try:
            await sequence.close(self._db, queue_id, tokens)
        except PyMongoError as ex:
            _log.warning("a reservation stays open until it is fenced: %s", type(ex).__name__)
            self._db.tell(queue_id)


def _number(posts: list[_Post], seqs: Iterable[int]) -> None:
    """Give the posts their sequences, as far as they go."""
    numbers = iter(seqs)
    for post in posts:
        post.seqs += islice(numbers, len(post.left))


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
