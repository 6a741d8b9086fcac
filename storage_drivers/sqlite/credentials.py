"""Credentials in SQLite: a row each until it expires, revoked or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from queues.ledgers import CredentialStore
from queues.model import Credential, CredentialKind, Revocations
from storage_drivers.sqlite.codec import Row, pack_name, unpack_name
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.layout import statements
from storage_drivers.sqlite.transaction import Transaction

_SQL = statements("credentials")


class Credentials(CredentialStore):
    """The contract's view on credentials."""

    def __init__(self, writer: Lane[Transaction], readers: Lane[sqlite3.Connection]) -> None:
        self._writer = writer
        self._readers = readers

    async def add(self, project: str, credential: Credential, *, now_ms: int) -> None:
        """See the contract."""
        credential_id, kind, *rest = credential
        arguments = (pack_name(project), pack_name(credential_id), kind.value, *rest, now_ms)
        await self._writer.run(lambda transaction: _add(transaction, arguments))

    async def get(self, project: str, credential_id: str, *, now_ms: int) -> Credential | None:
        """See the contract."""
        names = (pack_name(project), pack_name(credential_id))
        return await self._readers.run(partial(_get, names=names, now_ms=now_ms))

    async def list(
        self, project: str, kind: CredentialKind, *, marker: str, limit: int, now_ms: int
    ) -> Sequence[Credential]:
        """See the contract."""
        arguments = (pack_name(project), kind.value, pack_name(marker), now_ms, limit)
        return await self._readers.run(
            lambda reader: [
                _to_credential(row) for row in reader.execute(_SQL["list"], arguments)
            ]
        )

    async def spend(self, project: str, credential_id: str, *, now_ms: int) -> bool:
        """See the contract."""
        names = (pack_name(project), pack_name(credential_id))
        return await self._writer.run(partial(_spend, names=names, now_ms=now_ms))

    async def revoke(self, project: str, credential_id: str, *, now_ms: int) -> bool:
        """See the contract."""
        names = (pack_name(project), pack_name(credential_id))
        return await self._writer.run(partial(_revoke, names=names, now_ms=now_ms))

    async def revocations(self, *, known: int, now_ms: int) -> Revocations | None:
        """See the contract."""
        return await self._readers.run(partial(_revocations, known=known, now_ms=now_ms))


def forget_expired(transaction: Transaction, limit: int, now_ms: int) -> int:
    """Remove credentials that have expired, and return how many there were."""
    return transaction.execute(_SQL["forget"], (now_ms, limit)).rowcount


def _add(transaction: Transaction, arguments: Row) -> None:
    transaction.execute(_SQL["add"], arguments)


def _get(
    connection: sqlite3.Connection | Transaction, names: tuple[bytes, bytes], now_ms: int
) -> Credential | None:
    row = connection.execute(_SQL["get"], (*names, now_ms)).fetchone()
    return None if row is None else _to_credential(row)


def _to_credential(row: Row) -> Credential:
    credential_id, kind, *rest = row
    return Credential(unpack_name(credential_id), CredentialKind(kind), *rest)


def _spend(transaction: Transaction, names: tuple[bytes, bytes], now_ms: int) -> bool:
    credential = _get(transaction, names, now_ms)
    if credential is None or credential.uses_left == 0:
        return False
    if credential.uses_left is not None:
        transaction.execute(_SQL["spend"], names)
    return True


def _revoke(transaction: Transaction, names: tuple[bytes, bytes], now_ms: int) -> bool:
    if not transaction.execute(_SQL["revoke"], (*names, now_ms)).rowcount:
        return False
    transaction.execute(_SQL["advance"], (now_ms,))
    return True


def _revocations(connection: sqlite3.Connection, known: int, now_ms: int) -> Revocations | None:
    version: int = connection.execute(_SQL["version"]).fetchone()[0]
    if version == known:
        return None
    rows = connection.execute(_SQL["revoked"], (now_ms,))
    return Revocations(version, frozenset(unpack_name(row[0]) for row in rows))
