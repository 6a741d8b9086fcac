"""Limits, usage and rates of projects in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from queues import token_bucket
from queues.ledgers import QuotaStore
from queues.model import Rate, Usage
from queues.token_bucket import Bucket
from storage_drivers.sqlite.codec import pack_name, unpack_name
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.layout import NEVER_MS, statements
from storage_drivers.sqlite.transaction import Transaction

_SQL = statements("quotas")


class Quotas(QuotaStore):
    """The contract's view on quotas."""

    def __init__(self, writer: Lane[Transaction], readers: Lane[sqlite3.Connection]) -> None:
        self._writer = writer
        self._readers = readers

    async def put(self, project: str, document: bytes) -> None:
        """See the contract."""
        arguments = (pack_name(project), document)
        await self._writer.run(lambda writer: _run(writer, "put", arguments))

    async def get(self, project: str) -> bytes | None:
        """See the contract."""
        arguments = (pack_name(project),)
        row = await self._readers.run(
            lambda reader: reader.execute(_SQL["get"], arguments).fetchone()
        )
        return None if row is None else bytes(row[0])

    async def delete(self, project: str) -> None:
        """See the contract."""
        arguments = (pack_name(project),)
        await self._writer.run(lambda writer: _run(writer, "delete", arguments))

    async def list(self, *, marker: str | None, limit: int) -> Sequence[tuple[str, bytes]]:
        """See the contract."""
        # The smallest name after a marker is the marker and a NUL.
        first = b"" if marker is None else pack_name(marker) + b"\0"
        rows = await self._readers.run(
            lambda reader: reader.execute(_SQL["list"], (first, limit)).fetchall()
        )
        return [(unpack_name(project), document) for project, document in rows]

    async def usage(self, project: str, *, now_ms: int) -> Usage:
        """See the contract."""
        arguments = (pack_name(project),)
        return await self._readers.run(
            lambda reader: Usage(*reader.execute(_SQL["usage"], arguments).fetchone())
        )

    async def take(
        self, project: str, bucket: str, *, tokens: int, rate: Rate, now_ms: int
    ) -> int:
        """See the contract."""
        names = (pack_name(project), pack_name(bucket))
        return await self._writer.run(
            partial(_take, names=names, tokens=tokens, rate=rate, now_ms=now_ms)
        )


def forget_full(transaction: Transaction, limit: int, now_ms: int) -> int:
    """Remove buckets that are full by now, and return how many there were."""
    return transaction.execute(_SQL["forget_full"], (now_ms, limit)).rowcount


def _run(transaction: Transaction, name: str, arguments: tuple[bytes, ...]) -> None:
    transaction.execute(_SQL[name], arguments)


def _take(
    transaction: Transaction, names: tuple[bytes, bytes], tokens: int, rate: Rate, now_ms: int
) -> int:
    row = transaction.execute(_SQL["tokens"], names).fetchone()
    before = None if row is None else Bucket(*row)
    taken, after = token_bucket.take(before, tokens, rate, now_ms)
    full_ms = token_bucket.full_ms(after, rate, NEVER_MS)
    transaction.execute(_SQL["save_tokens"], (*names, *after, full_ms))
    return taken
