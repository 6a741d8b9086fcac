"""Limits, usage and rates of projects.

The limits of all projects are in one slot, as they are listed together; the buckets of a
project are in its own, and what a project has is counted in the slots of its queues.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from queues.ledgers import QuotaStore
from queues.model import Rate, Usage
from storage_drivers.redis.executor import Executor
from storage_drivers.redis.layout import decode, encode
from storage_drivers.redis.queues import RedisQueueStore
from storage_drivers.redis.scripts import Script

_PUT = Script("put_quota", keys="limited limits", args="project document")
_DELETE = Script("delete_quota", keys="limited limits", args="project")
_LIST = Script("list_quotas", keys="limited limits", args="above limit")
_USAGE = Script("queue_usage", keys="meta messages order leased", args="")
_TAKE = Script("take_tokens", keys="bucket", args="now_ms tokens per_s burst")

#: Queues that are counted at the same time.
_QUEUES_AT_ONCE = 1000


class RedisQuotaStore(QuotaStore):
    """The contract's view on quotas."""

    def __init__(self, executor: Executor, queues: RedisQueueStore) -> None:
        self._executor = executor
        self._layout = executor.layout
        self._queues = queues

    async def put(self, project: str, document: bytes) -> None:
        place = self._layout.quotas
        await self._executor.run(_PUT, place, project=project, document=document)

    async def get(self, project: str) -> bytes | None:
        place = self._layout.quotas
        document: bytes | None = await self._executor.command(
            place, b"HGET", place.keys["limits"], encode(project)
        )
        return document

    async def delete(self, project: str) -> None:
        await self._executor.run(_DELETE, self._layout.quotas, project=project)

    async def list(self, *, marker: str | None, limit: int) -> Sequence[tuple[str, bytes]]:
        above = b"-" if marker is None else b"(" + encode(marker)
        found = await self._executor.run(_LIST, self._layout.quotas, above=above, limit=limit)
        return list(zip(map(decode, found[::2]), found[1::2], strict=True))

    async def usage(self, project: str, *, now_ms: int) -> Usage:
        usage, marker = Usage(0, 0, 0, 0), ""
        while True:
            names = await self._queues.names(project, marker, _QUEUES_AT_ONCE)
            counts = await asyncio.gather(*(self._count(project, name) for name in names))
            usage = Usage(*map(sum, zip(usage, *counts, strict=True)))
            if len(names) < _QUEUES_AT_ONCE:
                return usage
            marker = names[-1]

    async def _count(self, project: str, queue: str) -> Sequence[int]:
        """Count what is in one queue; nothing where it does not exist."""
        counts: Sequence[int] = await self._executor.run(
            _USAGE, self._layout.queue(project, queue)
        )
        return counts

    async def take(
        self, project: str, bucket: str, *, tokens: int, rate: Rate, now_ms: int
    ) -> int:
        place = self._layout.project(project)
        taken: int = await self._executor.run(
            _TAKE,
            place,
            {"bucket": place.bucket(bucket)},
            now_ms=now_ms,
            tokens=tokens,
            per_s=repr(rate.per_s),
            burst=rate.burst,
        )
        return taken
