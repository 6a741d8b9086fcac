"""Credentials: those of a project in its slot, what was revoked in one slot for all.

A revocation is written before the credential ends: whoever is cut off between leaves a
credential that every process knows to be revoked, and the next call ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from queues.ledgers import CredentialStore
from queues.model import Credential, CredentialKind, Revocations
from storage_drivers.redis.errors import in_time
from storage_drivers.redis.executor import Executor
from storage_drivers.redis.layout import decode, encode
from storage_drivers.redis.scripts import Script

_ADD = Script(
    "add_credential",
    keys="credentials live expiring",
    args="now_ms id kind expires_ms uses_left record",
)
_LIST = Script(
    "list_credentials",
    keys="credentials live expiring",
    args="now_ms kind marker limit",
)
_SPEND = Script("spend_credential", keys="credentials", args="now_ms id")
_END = Script("end_credential", keys="credentials live", args="now_ms id")
_REVOKE = Script("add_revocation", keys="version revoked", args="now_ms id expires_ms")
_REVOKED = Script("list_revocations", keys="version revoked", args="now_ms")

#: expires_ms, created_ms, length of the kind: see `includes/credentials.lua`.
_RECORD = Struct(">QQB")


class RedisCredentialStore(CredentialStore):
    """The contract's view on credentials."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._layout = executor.layout

    async def add(self, project: str, credential: Credential, *, now_ms: int) -> None:
        uses_left = credential.uses_left
        await self._executor.run(
            _ADD,
            self._layout.project(project),
            now_ms=now_ms,
            id=credential.id,
            kind=credential.kind.value,
            expires_ms=credential.expires_ms,
            uses_left="" if uses_left is None else uses_left,
            record=_pack(credential),
        )

    async def get(self, project: str, credential_id: str, *, now_ms: int) -> Credential | None:
        place, stored_id = self._layout.project(project), encode(credential_id)
        record, uses_left = await self._executor.command(
            place, b"HMGET", place.keys["credentials"], b"r" + stored_id, b"u" + stored_id
        )
        if record is None:
            return None
        credential = _unpack(stored_id, record, uses_left)
        return credential if credential and credential.expires_ms > now_ms else None

    async def list(
        self, project: str, kind: CredentialKind, *, marker: str, limit: int, now_ms: int
    ) -> Sequence[Credential]:
        place = self._layout.project(project)
        found = await self._executor.run(
            _LIST, place, now_ms=now_ms, kind=kind.value, marker=marker, limit=limit
        )
        stored = zip(found[::3], found[1::3], found[2::3], strict=True)
        credentials = (_unpack(*fields) for fields in stored)
        return [credential for credential in credentials if credential is not None]

    async def spend(self, project: str, credential_id: str, *, now_ms: int) -> bool:
        place = self._layout.project(project)
        return bool(await self._executor.run(_SPEND, place, now_ms=now_ms, id=credential_id))

    async def revoke(self, project: str, credential_id: str, *, now_ms: int) -> bool:
        async with in_time(self._executor.timeout_s):
            place = self._layout.project(project)
            record = await self._executor.command(
                place, b"HGET", place.keys["credentials"], b"r" + encode(credential_id)
            )
            expires_ms = 0 if record is None else _RECORD.unpack_from(record)[0]
            if expires_ms <= now_ms:
                return False
            # NOTE: also for a revoked one, in case a failover took it off the list.
            await self._executor.run(
                _REVOKE,
                self._layout.revocations,
                now_ms=now_ms,
                id=credential_id,
                expires_ms=expires_ms,
            )
            return bool(await self._executor.run(_END, place, now_ms=now_ms, id=credential_id))

    async def revocations(self, *, known: int, now_ms: int) -> Revocations | None:
        place = self._layout.revocations
        # PERF: almost always nothing changed, and a GET costs the server less than a script.
        version = await self._executor.command(place, b"GET", place.keys["version"])
        if int(version or 0) == known:
            return None
        listed, ids = await self._executor.run(_REVOKED, place, now_ms=now_ms)
        return Revocations(listed, frozenset(map(decode, ids)))


def _pack(credential: Credential) -> bytes:
    kind = credential.kind.value.encode()
    header = _RECORD.pack(credential.expires_ms, credential.created_ms, len(kind))
    return header + kind + credential.document


def _unpack(stored_id: bytes, record: bytes, uses_left: bytes | None) -> Credential | None:
    """Return the credential, or None if it was revoked."""
    expires_ms, created_ms, kind_bytes = _RECORD.unpack_from(record)
    if not kind_bytes:
        return None
    at = _RECORD.size + kind_bytes
    return Credential(
        id=decode(stored_id),
        kind=CredentialKind(record[_RECORD.size : at].decode()),
        document=record[at:],
        created_ms=created_ms,
        expires_ms=expires_ms,
        uses_left=None if uses_left is None else int(uses_left),
    )
