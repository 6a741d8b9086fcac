"""Queues: their metadata, the index of a project and the counts."""

from __future__ import annotations

import asyncio
from collections.abc import MutableSequence, Sequence
from typing import Any

from queues.errors import QueueNotFound
from queues.ids import first_sequence
from queues.model import Queue, Stats
from queues.storage import QueueStore
from storage_drivers.redis.codec import unpack_all
from storage_drivers.redis.errors import Answer, in_time
from storage_drivers.redis.executor import Executor
from storage_drivers.redis.layout import MESSAGES, decode, encode
from storage_drivers.redis.scripts import Script

_CREATE = Script("create_queue", keys="meta seq", args="metadata version now_ms first_sequence")
_UPDATE = Script("update_queue", keys="meta", args="metadata expected_version version")
_DELETE = Script("delete_queue", keys=f"meta seq {MESSAGES}", args="now_ms")
_PURGE = Script("purge_queue", keys=MESSAGES, args="")
_STATS = Script("queue_stats", keys=MESSAGES, args="now_ms")
_REGISTER = Script("register_queue", keys="names tokens", args="name token now_ms")
_UNREGISTER = Script("unregister_queue", keys="names tokens", args="name token stale_ms")
_ENROLL = Script("enroll_queue", keys="due missing", args="tag now_ms")


class RedisQueueStore(QueueStore):
    """Queues. The index is in the project's slot, everything else in the queue's.

    A queue is put on the list of the sweep, then in the index, then it is created; it is
    deleted first and taken out of the index after that. A crash between leaves an entry
    that no listing shows and that the sweep removes.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._layout = executor.layout

    async def create(
        self, project: str, queue: str, *, metadata: bytes, version: int, now_ms: int
    ) -> tuple[Queue, bool]:
        async with in_time(self._executor.timeout_s):
            existing = await self.get(project, queue)
            if existing is not None:
                return existing, False
            await self._announce(project, queue, version, now_ms)
            created, *stored = await self._executor.run(
                _CREATE,
                self._layout.queue(project, queue),
                metadata=metadata,
                version=version,
                now_ms=now_ms,
                first_sequence=first_sequence(now_ms),
            )
            return _queue(queue, stored), bool(created)

    async def _announce(self, project: str, queue: str, version: int, now_ms: int) -> None:
        """Make sure that a queue which exists from now on is listed and swept."""
        tag = self._layout.queue(project, queue).tag
        turns, index = self._layout.sweep_of(tag), self._layout.project(project)
        await self._executor.run(_ENROLL, turns, tag=tag, now_ms=now_ms)
        await self._executor.run(_REGISTER, index, name=queue, token=version, now_ms=now_ms)

    async def get(self, project: str, queue: str) -> Queue | None:
        place = self._layout.queue(project, queue)
        stored = await self._executor.command(
            place, b"HMGET", place.keys["meta"], b"metadata", b"version", b"created_ms"
        )
        return None if stored[0] is None else _queue(queue, stored)

    async def update(
        self,
        project: str,
        queue: str,
        *,
        metadata: bytes,
        expected_version: int,
        version: int,
    ) -> Queue:
        reply = await self._executor.run(
            _UPDATE,
            self._layout.queue(project, queue),
            metadata=metadata,
            expected_version=expected_version,
            version=version,
        )
        if reply == Answer.QUEUE_MISSING:
            raise QueueNotFound
        return Queue(name=queue, metadata=metadata, version=version, created_ms=reply)

    async def delete(self, project: str, queue: str, *, now_ms: int) -> None:
        place = self._layout.queue(project, queue)
        token = await self._executor.run(_DELETE, place, now_ms=now_ms)
        if token != Answer.QUEUE_MISSING:
            await self.unregister(project, queue, token=token, stale_ms=0)

    async def unregister(
        self, project: str, queue: str, *, token: bytes, stale_ms: int
    ) -> None:
        """Take a missing queue out of the index, but never one that came back meanwhile.

        Removes an entry of the life with this token, or one made at or before `stale_ms`.
        """
        index = self._layout.project(project)
        await self._executor.run(_UNREGISTER, index, name=queue, token=token, stale_ms=stale_ms)

    async def purge(self, project: str, queue: str, *, now_ms: int) -> None:
        await self._executor.run(_PURGE, self._layout.queue(project, queue))

    async def list(self, project: str, *, marker: str, limit: int) -> Sequence[Queue]:
        found: MutableSequence[Queue] = []
        while len(found) < limit:
            asked = limit - len(found)
            names = await self.names(project, marker, asked)
            queues = await asyncio.gather(*(self.get(project, name) for name in names))
            # A name without a queue is of one that is being created or was deleted.
            found += [queue for queue in queues if queue is not None]
            if len(names) < asked:
                break
            marker = names[-1]
        return found

    async def names(self, project: str, marker: str, count: int) -> Sequence[str]:
        """Return up to `count` names in the index after `marker`, also of missing queues."""
        place = self._layout.project(project)
        above = b"(" + encode(marker) if marker else b"-"
        bounds = (above, b"+", b"LIMIT", b"0", b"%d" % count)
        names = await self._executor.command(
            place, b"ZRANGEBYLEX", place.keys["names"], *bounds
        )
        return [decode(name) for name in names]

    async def count(self, project: str) -> int:
        place = self._layout.project(project)
        count: int = await self._executor.command(place, b"ZCARD", place.keys["names"])
        return count

    async def stats(self, project: str, queue: str, *, now_ms: int) -> Stats:
        place = self._layout.queue(project, queue)
        claimed, total, *ends = await self._executor.run(_STATS, place, now_ms=now_ms)
        messages = unpack_all(ends, now_ms)
        oldest, newest = messages or (None, None)
        return Stats(claimed=claimed, total=total, oldest=oldest, newest=newest)


def _queue(name: str, stored: Sequence[Any]) -> Queue:
    metadata, version, created_ms = stored
    return Queue(name=name, metadata=metadata, version=int(version), created_ms=int(created_ms))
