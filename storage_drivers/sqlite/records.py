"""Records in SQLite: a row each, found by kind, scope and key or by when it is due."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal, NamedTuple

from queues.model import Record, RecordKind, Taken
from queues.records import RecordStore
from storage_drivers.sqlite.codec import Row, pack_name, unpack_name
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.layout import statements
from storage_drivers.sqlite.sweep import STEP, UNTIDY, Untidy, read_tidily, write_tidily
from storage_drivers.sqlite.transaction import Transaction

_SQL = statements("records")


class _Listing(NamedTuple):
    """What a caller of `RecordStore.list` asks for: keys from `first` to before `end`."""

    project: bytes
    kind: str
    scope: bytes
    first: bytes
    end: bytes


class _Found(NamedTuple):
    """What a walk over rows met: rows of records, and ids of records that have expired."""

    rows: list[Row]
    expired: list[int]


class Records(RecordStore):
    """The contract's view on records."""

    def __init__(self, writer: Lane[Transaction], readers: Lane[sqlite3.Connection]) -> None:
        self._writer = writer
        self._readers = readers

    async def create(self, project: str, record: Record, *, now_ms: int) -> bool:
        """See the contract."""
        return await self._writer.run(
            lambda transaction: create_record(transaction, project, record, now_ms)
        )

    async def get(
        self, project: str, kind: RecordKind, scope: str, key: str, *, now_ms: int
    ) -> Record | None:
        """See the contract."""
        arguments = (*_pack_place(project, kind, scope, key), now_ms)
        row = await self._readers.run(
            lambda reader: reader.execute(_SQL["get"], arguments).fetchone()
        )
        return None if row is None else _to_record(row)

    async def replace(self, project: str, record: Record, *, now_ms: int) -> bool:
        """See the contract."""
        place = _pack_place(project, record.kind, record.scope, record.key)
        values = (record.document, record.due_ms, record.expires_ms)
        arguments = (*values, *place, record.version, now_ms)
        return await self._writer.run(
            partial(_change, statement="replace", arguments=arguments)
        )

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
        """See the contract."""
        arguments = (*_pack_place(project, kind, scope, key), version, now_ms)
        return await self._writer.run(partial(_change, statement="delete", arguments=arguments))

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
        """See the contract."""
        start = pack_name(prefix)
        # The smallest key after a marker is the marker and a NUL; 0xff is in no UTF-8.
        first = max(start, pack_name(marker) + b"\0") if marker else start
        place = (pack_name(project), kind.value, pack_name(scope))
        listing = _Listing(*place, first, start + b"\xff")
        return await read_tidily(
            self._readers,
            self._writer,
            partial(_list, listing=listing, limit=limit, now_ms=now_ms),
            partial(_tidy_list, listing=listing, limit=limit, now_ms=now_ms),
        )

    async def take(self, *, limit: int, lease_ms: int, now_ms: int) -> Sequence[Taken]:
        """See the contract."""
        # PERF: looks before it waits for the turn to write; mostly there is nothing.
        if not await self._readers.run(partial(_is_due, now_ms=now_ms)):
            return []
        return await write_tidily(
            self._writer, lambda transaction: _take(transaction, limit, lease_ms, now_ms)
        )


def create_record(transaction: Transaction, project: str, record: Record, now_ms: int) -> bool:
    """Store a record and say so, or leave the one alone that is there.

    PERF: on the connection itself, so new messages that wait to be inserted go on waiting.
    """
    place = _pack_place(project, record.kind, record.scope, record.key)
    values = (record.document, record.version, record.due_ms, record.expires_ms)
    arguments = (*place, *values, now_ms)
    return transaction.connection.execute(_SQL["create"], arguments).rowcount == 1


def _change(transaction: Transaction, *, statement: str, arguments: Row) -> bool:
    return transaction.execute(_SQL[statement], arguments).rowcount == 1


def _pack_place(
    project: str, kind: RecordKind, scope: str, key: str
) -> tuple[bytes, str, bytes, bytes]:
    return pack_name(project), kind.value, pack_name(scope), pack_name(key)


def _to_record(row: Row) -> Record:
    kind, scope, key, document, version, due_ms, expires_ms = row[:7]
    names = (unpack_name(scope), unpack_name(key))
    return Record(RecordKind(kind), *names, document, version, due_ms, expires_ms)


def _walk(rows: Iterable[Row], limit: int, now_ms: int) -> _Found:
    """Read on until `limit` records are found or a step's worth of expired ones was met."""
    found = _Found([], [])
    for row in rows:
        expires_ms, record_id = row[6:8]
        if expires_ms is not None and expires_ms <= now_ms:
            found.expired.append(record_id)
        else:
            found.rows.append(row)
        if len(found.rows) == limit or len(found.expired) == STEP:
            break
    return found


def _list(
    reader: sqlite3.Connection, *, listing: _Listing, limit: int, now_ms: int
) -> list[Record] | Literal[Untidy.UNTIDY]:
    found = _walk(reader.execute(_SQL["list"], listing), limit, now_ms)
    if len(found.expired) == STEP and len(found.rows) < limit:
        return UNTIDY
    return [_to_record(row) for row in found.rows]


def _tidy_list(transaction: Transaction, *, listing: _Listing, limit: int, now_ms: int) -> None:
    """Remove what has expired and stands in the way of the listing, one step of it."""
    found = _walk(transaction.execute(_SQL["list"], listing), limit, now_ms)
    transaction.execute_for(found.expired, _SQL["remove"])


def _is_due(reader: sqlite3.Connection, *, now_ms: int) -> bool:
    return reader.execute(_SQL["is_due"], (now_ms,)).fetchone() is not None


def _take(
    transaction: Transaction, limit: int, lease_ms: int, now_ms: int
) -> list[Taken] | Literal[Untidy.UNTIDY]:
    """Take what is due, and remove what has expired before it was taken."""
    found = _walk(transaction.execute(_SQL["due"], (now_ms,)), limit, now_ms)
    transaction.execute_for(found.expired, _SQL["remove"])
    if len(found.expired) == STEP and not found.rows:
        return UNTIDY
    due_ms = now_ms + lease_ms
    transaction.execute_for([row[7] for row in found.rows], _SQL["lease"], (due_ms,))
    return [Taken(unpack_name(row[8]), _taken(_to_record(row), due_ms)) for row in found.rows]


def _taken(record: Record, due_ms: int) -> Record:
    return record._replace(version=record.version + 1, due_ms=due_ms)
