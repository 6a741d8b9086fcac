"""Lists of scopes whose records want a visit, because they are due or because they expired.

A scope is the queue of some name, or the project itself; its records are in its slot, the
lists are in others. So that nothing due is ever missed, whatever crashes between:

1. Whoever is about to write a record that is due earlier than anything of its scope puts the
   scope on the list first (`write`). The scope's slot has a note that it is on the list, which
   spares the next writers this step.
2. A visit takes the note away in the same step in which it looks at the records. Then it notes
   on the list when the next record wants a visit, unless the scope was announced meanwhile.
3. Whoever announced a scope and finds it visited since announces it once more, and only then
   writes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from queues.errors import StorageUnavailable
from queues.model import Record
from storage_drivers.redis.errors import in_time
from storage_drivers.redis.executor import NO_KEYS, Executor
from storage_drivers.redis.layout import Place, QueuePlace, shard_of
from storage_drivers.redis.scripts import Argument, Script
from storage_drivers.redis.wire import Reply

_ANNOUNCE = Script("announce_scope", keys="scopes visits", args="tag at_ms")
_BEGIN = Script("begin_visits", keys="scopes visits", args="now_ms limit next_ms")
_END = Script("end_visit", keys="scopes visits", args="tag number next_ms")

#: Stands for never in the store, where it is later than any time.
NEVER_MS = 2**53 - 1

#: Scopes that are visited at the same time, and how often one call goes on to others.
_VISITS_AT_ONCE = 64
_ROUNDS = 16

#: A visit that comes to no end, as its process died, is made up for after so long.
_REVISIT_MS = 1000

Found = TypeVar("Found")

#: Looks at one scope; see `Visits.visit`.
Deal = Callable[[str, int], Awaitable[tuple[bytes | None, Sequence[Found]]]]


class _Visit(NamedTuple):
    """A scope whose turn it is, and the number that ends the visit."""

    tag: str
    number: int


class Visits:
    """One such list, spread over shards, so over the slots of a cluster."""

    def __init__(self, executor: Executor, shards: Sequence[Place]) -> None:
        self._executor = executor
        self._shards = shards

    async def announce(self, tag: str, at_ms: int) -> None:
        """Make sure that the scope is visited at `at_ms` or before, if that is not never."""
        if at_ms == NEVER_MS:
            return
        shard = self._shards[shard_of(tag)]
        await self._executor.run(_ANNOUNCE, shard, tag=tag, at_ms=at_ms)

    async def visit(self, deal: Deal[Found], *, limit: int, now_ms: int) -> Sequence[Found]:
        """Let `deal` look at scopes in turn until it has found `limit`, and return that.

        `deal(tag, limit)` returns when the scope wants its next visit, or None, and what it
        found. What was found counts, also when something fails then.

        Raises: StorageUnavailable when nothing was found and something failed.
        """
        found: list[Found] = []
        for _ in range(_ROUNDS):
            visits, failure = await self._begin(
                min(limit - len(found), _VISITS_AT_ONCE), now_ms
            )
            share = (limit - len(found)) // max(len(visits), 1)
            dealt, failed = await _survivors(
                self._deal(deal, visit, share, now_ms) for visit in visits
            )
            found += [one for several in dealt for one in several]
            failure = failure or failed
            if failure and not found:
                raise failure
            if failure or not visits or len(found) >= limit:
                break
        return found

    async def _begin(
        self, limit: int, now_ms: int
    ) -> tuple[Sequence[_Visit], StorageUnavailable | None]:
        """Return up to `limit` scopes that want a visit, the most urgent ones first.

        No other call returns them within the next second. Second comes what failed, if a part
        of the list could not be read.
        """
        waiting, failure = await _survivors(
            self._waiting(shard, limit, now_ms) for shard in self._shards
        )
        urgent = sorted(wait for waits in waiting for wait in waits)[:limit]
        wanted = Counter(shard_of(tag) for _, tag in urgent)
        begun, failed = await _survivors(
            self._begin_in(self._shards[shard], count, now_ms)
            for shard, count in wanted.items()
        )
        return [visit for visits in begun for visit in visits], failure or failed

    async def _waiting(self, shard: Place, limit: int, now_ms: int) -> list[tuple[float, str]]:
        # PERF: mostly there is nothing to do, and this costs the server less than a script.
        found = await self._executor.command(
            shard, b"ZRANGEBYSCORE", shard.keys["scopes"], b"-inf", b"%d" % now_ms,
            b"WITHSCORES", b"LIMIT", b"0", b"%d" % limit,
        )  # fmt: skip
        return [
            (float(at_ms), tag.decode())
            for tag, at_ms in zip(found[::2], found[1::2], strict=True)
        ]

    async def _begin_in(self, shard: Place, limit: int, now_ms: int) -> list[_Visit]:
        number, *tags = await self._executor.run(
            _BEGIN, shard, now_ms=now_ms, limit=limit, next_ms=now_ms + _REVISIT_MS
        )
        return [_Visit(tag.decode(), number) for tag in tags]

    async def _deal(
        self, deal: Deal[Found], visit: _Visit, limit: int, now_ms: int
    ) -> Sequence[Found]:
        next_ms, found = await deal(visit.tag, limit)
        # NOTE: what was found must not be lost with this answer; a next visit makes up for it.
        with contextlib.suppress(StorageUnavailable):
            await self.end(visit, next_ms, now_ms)
        return found

    async def end(self, visit: _Visit, next_ms: bytes | None, now_ms: int) -> None:
        """Note the next visit. A scope with more to do comes after those that wait already."""
        at_ms: bytes | int = b"" if next_ms is None else max(int(next_ms), now_ms)
        shard = self._shards[shard_of(visit.tag)]
        await self._executor.run(_END, shard, tag=visit.tag, number=visit.number, next_ms=at_ms)


class Announcements:
    """The list of scopes with something due, and that of scopes with something expired."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.due = Visits(executor, executor.layout.due)
        self.ends = Visits(executor, executor.layout.ends)

    async def write(
        self,
        script: Script,
        place: QueuePlace,
        record: Record,
        keys: Mapping[str, bytes] = NO_KEYS,
        rest: Collection[bytes] = (),
        /,
        **args: Argument,
    ) -> Reply:
        """Run a script that writes the record, as soon as its scope is on the lists.

        `args` are the arguments of the script that come before those of the record.
        """
        due_ms, expires_ms = stored_ms(record.due_ms), stored_ms(record.expires_ms)
        announced = b""
        async with in_time(self._executor.timeout_s):
            while True:
                reply = await self._executor.run(
                    script, place, keys, rest, **args,
                    version=record.version, due_ms=due_ms, expires_ms=expires_ms,
                    document=record.document, announced=announced,
                )  # fmt: skip
                if not isinstance(reply, bytes):
                    return reply
                announced = reply
                await asyncio.gather(
                    self.due.announce(place.tag, due_ms),
                    self.ends.announce(place.tag, expires_ms),
                )


def stored_ms(at_ms: int | None) -> int:
    """Return a time as it is stored."""
    return NEVER_MS if at_ms is None else at_ms


async def _survivors(
    calls: Iterable[Awaitable[Found]],
) -> tuple[list[Found], StorageUnavailable | None]:
    """Return what those calls brought that did not fail, and one failure, if there was any.

    NOTE: a node of a cluster that is down must not stop what can be done on the others.
    """
    answers = await asyncio.gather(*calls, return_exceptions=True)
    found: list[Found] = []
    failure: StorageUnavailable | None = None
    for answer in answers:
        if isinstance(answer, StorageUnavailable):
            failure = answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found.append(answer)
    return found, failure
