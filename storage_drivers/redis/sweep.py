"""Clears away what is due, queue by queue, shared among any number of processes.

Every queue is on a list, spread over shards (so over the slots of a cluster) and ordered by
when its turn comes. A sweep takes queues whose turn has come and puts off their next turn in
the same step, so two sweeps take different queues and no process has to lead.
"""

from __future__ import annotations

import asyncio

from queues.errors import StorageUnavailable
from storage_drivers.redis.dead_letters import DeadLetters
from storage_drivers.redis.executor import Executor
from storage_drivers.redis.layout import MESSAGES, SHARDS, encode
from storage_drivers.redis.queues import RedisQueueStore
from storage_drivers.redis.records import RedisRecordStore
from storage_drivers.redis.scripts import Script

_TAKE = Script("take_due_queues", keys="due", args="now_ms limit next_ms")
_SWEEP = Script(
    "sweep_queue",
    keys=f"meta {MESSAGES} moving",
    args="now_ms limit",
)
_FORGET = Script("forget_queue", keys="due missing", args="tag now_ms missing_since_ms")

#: A queue has its turn this often, in all processes together.
TURN_MS = 1000

#: Queues visited at the same time, and by one sweep: with very many queues a round takes
#: several sweeps.
_VISITS_AT_ONCE = 64
_VISITS_PER_SWEEP = 1024

#: A queue that was announced so long ago and does not exist will not be created any more:
#: creating is bounded by the timeout of a call, which is much shorter.
STALE_MS = 60_000


class Sweep:
    """Visits queues in turn."""

    def __init__(
        self,
        executor: Executor,
        queues: RedisQueueStore,
        dead_letters: DeadLetters,
        records: RedisRecordStore,
    ) -> None:
        self._executor = executor
        self._layout = executor.layout
        self._queues = queues
        self._dead_letters = dead_letters
        self._records = records
        self._shard = 0

    async def run(self, *, limit: int, now_ms: int) -> int:
        """Deal with up to `limit` messages and records. See `Storage.sweep`.

        NOTE: a node that is down, as it may be for records, must not stop what can be done for
        queues on the others.
        """
        dealt, failure = 0, None
        try:
            dealt = await self._records.clear(limit=limit, now_ms=now_ms)
        except StorageUnavailable as ex:
            failure = ex
        dealt += await self._clear_queues(limit - dealt, now_ms)
        if failure and not dealt:
            raise failure
        return dealt

    async def _clear_queues(self, limit: int, now_ms: int) -> int:
        dealt = visits = 0
        while dealt < limit and visits < _VISITS_PER_SWEEP:
            tags = await self._take(min(limit - dealt, _VISITS_AT_ONCE), now_ms)
            if not tags:
                break
            visits += len(tags)
            share = (limit - dealt) // len(tags)
            dealt += sum(
                await asyncio.gather(*(self._visit(tag, share, now_ms) for tag in tags))
            )
        return dealt

    async def _take(self, count: int, now_ms: int) -> list[str]:
        """Take queues whose turn has come, from the shard on at which the last call stopped.

        Raises: StorageUnavailable for the first shard; a later one is left to the next call.
        """
        tags: list[str] = []
        for _ in range(SHARDS):
            # NOTE: goes on also after a failure, or a node that is down would stop the sweep of
            # all that comes after it.
            shard, self._shard = self._shard, (self._shard + 1) % SHARDS
            try:
                tags += await self._take_of(shard, count - len(tags), now_ms)
            except StorageUnavailable:
                if not tags:
                    raise
                self._shard = shard
                break
            if len(tags) >= count:
                # There may be more.
                self._shard = shard
                break
        return tags

    async def _take_of(self, shard: int, count: int, now_ms: int) -> list[str]:
        place, next_ms = self._layout.sweep(shard), now_ms + TURN_MS
        taken = await self._executor.run(
            _TAKE, place, now_ms=now_ms, limit=count, next_ms=next_ms
        )
        return [tag.decode() for tag in taken]

    async def _visit(self, tag: str, limit: int, now_ms: int) -> int:
        project, queue = self._layout.names_of(tag)
        place = self._layout.queue(project, queue)
        dealt, is_unfinished, moving, exists = await self._executor.run(
            _SWEEP, place, now_ms=now_ms, limit=limit
        )
        if moving:
            delivered = await self._dead_letters.deliver(project, queue, now_ms=now_ms)
            dealt, is_unfinished = dealt + delivered, is_unfinished or delivered < moving
        if is_unfinished:
            await self._put_first(tag, now_ms)
        elif not exists:
            await self._forget(tag, project, queue, now_ms)
        return int(dealt)

    async def _put_first(self, tag: str, now_ms: int) -> None:
        """Give a queue with more to do its next turn at once."""
        place = self._layout.sweep_of(tag)
        due = place.keys["due"]
        await self._executor.command(place, b"ZADD", due, b"XX", b"%d" % now_ms, encode(tag))

    async def _forget(self, tag: str, project: str, queue: str, now_ms: int) -> None:
        """Remove what points to a queue that has been missing for long enough."""
        stale_ms = now_ms - STALE_MS
        await self._queues.unregister(project, queue, token=b"", stale_ms=stale_ms)
        await self._executor.run(
            _FORGET,
            self._layout.sweep_of(tag),
            tag=tag,
            now_ms=now_ms,
            missing_since_ms=stale_ms,
        )
