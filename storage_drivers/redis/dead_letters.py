"""Moves messages that were claimed too often to their dead-letter queue.

The two queues may be in different slots, so no script sees both. The claim puts a message
out of sight into `moving`; then it is posted in the target, which remembers its origin until
the message would have expired, so that a second delivery posts nothing; then it leaves
`moving`. Any process may take up what another one left, at the same time and at any time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgpack  # type: ignore[import-untyped]

from storage_drivers.redis.errors import Answer
from storage_drivers.redis.executor import Executor
from storage_drivers.redis.layout import POSTING, decode, encode
from storage_drivers.redis.queues import RedisQueueStore
from storage_drivers.redis.scripts import Script

_APPEND = Script(
    "append_dead_letters",
    keys=f"meta seq {POSTING} moved",
    args="now_ms entries...",
)

#: Messages taken up at a time.
_BATCH = 100

#: A dead-letter queue that is deleted as often as it is created wins in the end: its
#: messages wait for the sweep.
_ATTEMPTS = 3

_EMPTY_METADATA = b"{}"

#: Target queue and the version to create it with.
_Target = tuple[str, int]


class DeadLetters:
    """Delivers what waits in the `moving` hash of a queue."""

    def __init__(self, executor: Executor, queues: RedisQueueStore) -> None:
        self._executor = executor
        self._queues = queues

    async def deliver(self, project: str, queue: str, *, now_ms: int) -> int:
        """Finish up to a batch of moves out of the queue and return how many.

        Raises: StorageUnavailable; the moves that are not finished wait for the sweep.
        """
        place = self._executor.layout.queue(project, queue)
        moving = place.keys["moving"]
        found = await self._executor.command(
            place, b"HRANDFIELD", moving, b"%d" % _BATCH, b"WITHVALUES"
        )
        waiting = dict(zip(found[::2], found[1::2], strict=True))
        for (target, version), members in _by_target(waiting).items():
            entries: list[bytes] = []
            for member in members:
                # A sequence is never given out twice under one name of a queue.
                entries += (member + encode(queue), _move(waiting[member])[2])
            if await self._append(project, target, version, entries, now_ms):
                await self._executor.command(place, b"HDEL", moving, *members)
        return len(waiting)

    async def _append(
        self, project: str, target: str, version: int, entries: list[bytes], now_ms: int
    ) -> bool:
        place = self._executor.layout.queue(project, target)
        for _ in range(_ATTEMPTS):
            reply = await self._executor.run(_APPEND, place, {}, entries, now_ms=now_ms)
            if reply != Answer.QUEUE_MISSING:
                return True
            await self._queues.create(
                project, target, metadata=_EMPTY_METADATA, version=version, now_ms=now_ms
            )
        return False


def _by_target(waiting: Mapping[bytes, bytes]) -> dict[_Target, list[bytes]]:
    """Group the sequences that wait by where they go, in their order."""
    targets: dict[_Target, list[bytes]] = defaultdict(list)
    for member in sorted(waiting):
        target, version, _ = _move(waiting[member])
        targets[decode(target), int(version)].append(member)
    return targets


def _move(value: bytes) -> Sequence[bytes]:
    """Return the target, the version to create it with, and the record."""
    move: Sequence[bytes] = msgpack.unpackb(value, raw=True)
    return move
