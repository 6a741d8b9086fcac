"""What the senders of signals said, one record for each, so that a handle stays small.

A record is stored before it counts, and the first one of an id stays: who repeats a signal
repeats what was stored. It lies under the incarnation of its handle, so nothing that was said
to one handle is ever shown by another of the same name. It is encrypted at rest wherever there
are keys for that: guests send the passwords that they made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import NamedTuple

from queues import ids, signal_documents
from queues.clock import Clock
from queues.errors import StorageUnavailable
from queues.model import Record, RecordKind
from queues.operations.handles import Handles, Kept
from queues.records import legible
from queues.signals import Contribution, Signal, Status
from queues.storage import Storage

_ATTEMPTS = 100
_PAGE = 100


class Said(NamedTuple):
    """What was said to a handle, by id, and the id to go on from if there is more."""

    by_id: Mapping[str, Contribution]
    marker: str | None


class Contributions:
    """What was said to handles."""

    def __init__(self, storage: Storage, clock: Clock, handles: Handles) -> None:
        """Keep it in `storage` as long as `handles` may need it."""
        self._storage = storage
        self._clock = clock
        self._handles = handles

    async def keep(self, project: str, kept: Kept, signal: Signal) -> Signal:
        """Store what somebody with an id says; return what they are taken to have said.

        That is what they said first, except that a failure takes the place of a success.
        """
        record = self._record(kept, signal)
        for _ in range(_ATTEMPTS):
            if await self._create(project, record):
                return signal
            found = await self._get(project, record)
            if found is None:
                continue
            before = signal_documents.decoded_contribution(legible(found))
            if signal.status is before.status or before.status is Status.FAILURE:
                return signal._replace(status=before.status, reason=before.reason)
            changed = record._replace(version=found.version)
            now_ms = self._clock.now_ms()
            if await self._storage.records.replace(project, changed, now_ms=now_ms):
                return signal
        raise StorageUnavailable("the data of a signal change faster than they can be read")

    async def keep_new(
        self, project: str, kept: Kept, signal: Signal, taken: set[str]
    ) -> Signal:
        """Store what somebody without an id says; their id is the next number.

        `taken` are ids that are not to be tried; the one that is chosen joins them at once.
        """
        for number in count(len(kept.handle.senders) + 1):
            if str(number) in taken:
                continue
            taken.add(str(number))
            numbered = signal._replace(id=str(number))
            if await self._create(project, self._record(kept, numbered)):
                return numbered
        raise AssertionError("numbers do not end")

    async def page(self, project: str, kept: Kept, *, marker: str, limit: int) -> Said:
        """Return what was said by those who count, by id."""
        prefix = _key(kept, "")
        records = await self._storage.records.list(
            project,
            RecordKind.SIGNAL_DATA,
            kept.name,
            prefix=prefix,
            marker=prefix + marker if marker else "",
            limit=limit,
            now_ms=self._clock.now_ms(),
        )
        found = {record.key.removeprefix(prefix): record for record in records}
        counted = set(kept.handle.contributors)
        by_id = {
            sender: signal_documents.decoded_contribution(legible(record))
            for sender, record in found.items()
            if sender in counted
        }
        return Said(by_id, list(found)[-1] if len(found) == limit else None)

    async def remove(self, project: str, kept: Kept) -> None:
        """Forget what was said to a handle that is gone.

        What a crash leaves behind expires by itself.
        """
        while True:
            records = await self._storage.records.list(
                project,
                RecordKind.SIGNAL_DATA,
                kept.name,
                prefix=_key(kept, ""),
                marker="",
                limit=_PAGE,
                now_ms=self._clock.now_ms(),
            )
            for record in records:
                await self._delete(project, record)
            if len(records) < _PAGE:
                return

    def _record(self, kept: Kept, signal: Signal) -> Record:
        assert signal.id is not None, "what is kept has an id"  # noqa: S101
        contribution = Contribution(
            signal.status, signal.reason, signal.data, self._clock.now_ms()
        )
        return Record(
            RecordKind.SIGNAL_DATA,
            kept.name,
            _key(kept, signal.id),
            signal_documents.encoded_contribution(contribution),
            ids.new_version(),
            expires_ms=self._handles.expires_ms(kept.handle),
            seal=self._storage.capabilities.encrypts,
        )

    async def _create(self, project: str, record: Record) -> bool:
        return await self._storage.records.create(project, record, now_ms=self._clock.now_ms())

    async def _get(self, project: str, record: Record) -> Record | None:
        kind, scope, key = record.kind, record.scope, record.key
        now_ms = self._clock.now_ms()
        return await self._storage.records.get(project, kind, scope, key, now_ms=now_ms)

    async def _delete(self, project: str, record: Record) -> None:
        kind, scope, key = record.kind, record.scope, record.key
        now_ms = self._clock.now_ms()
        await self._storage.records.delete(
            project, kind, scope, key, version=None, now_ms=now_ms
        )


def _key(kept: Kept, sender: str) -> str:
    return f"{kept.handle.incarnation}/{sender}"
