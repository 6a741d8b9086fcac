"""Records: documents with versions, due times and expiries, in the slots of their scopes."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from queues.model import Record, RecordKind, Taken
from queues.records import RecordStore
from storage_drivers.redis.executor import Executor
from storage_drivers.redis.layout import RECORDS, decode, encode
from storage_drivers.redis.scripts import Script
from storage_drivers.redis.visits import NEVER_MS, Announcements

_CREATE = Script(
    "create_record",
    keys=f"{RECORDS} notice",
    args="now_ms entry version due_ms expires_ms document announced",
)
_REPLACE = Script(
    "replace_record",
    keys=f"{RECORDS} notice",
    args="now_ms entry version due_ms expires_ms document announced",
)
_DELETE = Script("delete_record", keys=RECORDS, args="now_ms entry version")
_LIST = Script("list_records", keys=RECORDS, args="now_ms above below limit")
_TAKE = Script("take_records", keys=f"{RECORDS} notice", args="now_ms limit leased_ms")
_SWEEP = Script("sweep_records", keys=f"{RECORDS} notice", args="now_ms limit")

#: version, due_ms, expires_ms: see `includes/records.lua`.
_RECORD = Struct(">QQQ")


class RedisRecordStore(RecordStore):
    """The contract's view on records."""

    def __init__(self, executor: Executor, announcements: Announcements) -> None:
        self._executor = executor
        self._layout = executor.layout
        self._announcements = announcements

    async def create(self, project: str, record: Record, *, now_ms: int) -> bool:
        return await self._write(_CREATE, project, record, now_ms)

    async def replace(self, project: str, record: Record, *, now_ms: int) -> bool:
        return await self._write(_REPLACE, project, record, now_ms)

    async def _write(self, script: Script, project: str, record: Record, now_ms: int) -> bool:
        place = self._layout.queue(project, record.scope)
        entry = _entry(record.kind, record.key)
        return bool(
            await self._announcements.write(script, place, record, now_ms=now_ms, entry=entry)
        )

    async def get(
        self, project: str, kind: RecordKind, scope: str, key: str, *, now_ms: int
    ) -> Record | None:
        place, entry = self._layout.queue(project, scope), _entry(kind, key)
        stored = await self._executor.command(place, b"HGET", place.keys["records"], entry)
        if stored is None or _RECORD.unpack_from(stored)[2] <= now_ms:
            return None
        return _unpack(scope, entry, stored)

    async def delete(
        self,
        project: str,
        kind: RecordKind,
        scope: str,
        key: str,
        *,
        version: int | None,
        now_ms: int,
    ) -> bool:
        removed = await self._executor.run(
            _DELETE,
            self._layout.queue(project, scope),
            now_ms=now_ms,
            entry=_entry(kind, key),
            version="" if version is None else version,
        )
        return bool(removed)

    async def list(
        self,
        project: str,
        kind: RecordKind,
        scope: str,
        *,
        prefix: str,
        marker: str,
        limit: int,
        now_ms: int,
    ) -> Sequence[Record]:
        first, last = _entry(kind, prefix), _entry(kind, marker)
        found = await self._executor.run(
            _LIST,
            self._layout.queue(project, scope),
            now_ms=now_ms,
            above=b"(" + last if marker and last >= first else b"[" + first,
            # No text in UTF-8 has this byte.
            below=b"(" + first + b"\xff",
            limit=limit,
        )
        return _unpack_all(scope, found)

    async def take(self, *, limit: int, lease_ms: int, now_ms: int) -> Sequence[Taken]:
        async def take_of(tag: str, share: int) -> tuple[bytes | None, list[Taken]]:
            project, scope = self._layout.names_of(tag)
            place = self._layout.queue(project, scope)
            next_ms, *found = await self._executor.run(
                _TAKE, place, now_ms=now_ms, limit=share, leased_ms=now_ms + lease_ms
            )
            return next_ms, [Taken(project, record) for record in _unpack_all(scope, found)]

        return await self._announcements.due.visit(take_of, limit=limit, now_ms=now_ms)

    async def clear(self, *, limit: int, now_ms: int) -> int:
        """Remove up to `limit` records that have expired, and return how many."""

        async def clear_of(tag: str, share: int) -> tuple[bytes | None, Sequence[int]]:
            place = self._layout.queue(*self._layout.names_of(tag))
            next_ms, dropped = await self._executor.run(
                _SWEEP, place, now_ms=now_ms, limit=share
            )
            return next_ms, range(dropped)

        return len(await self._announcements.ends.visit(clear_of, limit=limit, now_ms=now_ms))


def _entry(kind: RecordKind, key: str) -> bytes:
    return encode(f"{kind.value}:{key}")


def _unpack(scope: str, entry: bytes, stored: bytes) -> Record:
    kind, _, key = entry.partition(b":")
    version, due_ms, expires_ms = _RECORD.unpack_from(stored)
    return Record(
        kind=RecordKind(kind.decode()),
        scope=scope,
        key=decode(key),
        document=stored[_RECORD.size :],
        version=version,
        due_ms=None if due_ms == NEVER_MS else due_ms,
        expires_ms=None if expires_ms == NEVER_MS else expires_ms,
    )


def _unpack_all(scope: str, answer: Sequence[bytes]) -> list[Record]:
    """Return the records in a script's answer: entry, record, entry, record, ..."""
    pairs = zip(answer[::2], answer[1::2], strict=True)
    return [_unpack(scope, entry, stored) for entry, stored in pairs]
