"""Wait handles in the store: found as they stand now, and changed one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from queues import ids, signal_documents, signals
from queues.clock import Clock
from queues.errors import StorageUnavailable
from queues.limits import Limits
from queues.model import Record, RecordKind, Topic, TopicKind
from queues.records import legible
from queues.signals import Handle
from queues.storage import Storage

_ATTEMPTS = 100


class Kept(NamedTuple):
    """A handle, and the record that it is kept in."""

    record: Record
    handle: Handle

    @property
    def name(self) -> str:
        """The name of the handle."""
        return self.record.key


class Handles:
    """The handles of all projects.

    A handle whose time is over is never shown as in progress: whoever finds it first ends it,
    in the store. So whatever was shown once stays true, also where clocks differ.

    Handles are encrypted at rest wherever there are keys for that, as they hold data of their
    makers and secrets of webhooks.
    """

    def __init__(
        self, storage: Storage, limits: Limits, clock: Clock, ring: Callable[[], None]
    ) -> None:
        """Keep handles in `storage`, and `ring` when something has to be done at once."""
        self._storage = storage
        self._limits = limits
        self._clock = clock
        self._ring = ring

    def expires_ms(self, handle: Handle) -> int:
        """Return until when the handle can be read."""
        end_ms = handle.deadline_ms if handle.ended_ms is None else handle.ended_ms
        return end_ms + self._limits.signal_retention_s * 1000

    async def create(self, project: str, name: str, handle: Handle) -> bool:
        """Store a new handle, and say whether there was none of that name."""
        blank = Record(RecordKind.SIGNAL, "", name, b"", ids.new_version())
        return await self._storage.records.create(
            project, self._filled(blank, handle), now_ms=self._clock.now_ms()
        )

    async def find(self, project: str, name: str) -> Kept | None:
        """Return the handle, or None if there is none."""
        for _ in range(_ATTEMPTS):
            record = await self._storage.records.get(
                project, RecordKind.SIGNAL, "", name, now_ms=self._clock.now_ms()
            )
            if record is None:
                return None
            kept = await self._settled(project, record)
            if kept is not None:
                return kept
        raise StorageUnavailable("the signal changes faster than it can be read")

    async def current(self, project: str, record: Record) -> Kept | None:
        """Return the handle of a record that was just read, or None if it is gone."""
        return await self._settled(project, record) or await self.find(project, record.key)

    async def _settled(self, project: str, record: Record) -> Kept | None:
        """Return what is kept in a record, after ending it if its time is over.

        None when it was changed meanwhile.
        """
        kept = Kept(record, signal_documents.decoded(legible(record)))
        handle = signals.settled(kept.handle, self._clock.now_ms())
        return kept if handle is kept.handle else await self.change(project, kept, handle)

    async def change(self, project: str, kept: Kept, handle: Handle) -> Kept | None:
        """Put `handle` in place of what is kept, and tell those who wait.

        None, and nothing changes, when it was changed meanwhile.
        """
        record = self._filled(kept.record, handle)
        if not await self._storage.records.replace(
            project, record, now_ms=self._clock.now_ms()
        ):
            return None
        self._tell(project, record.key)
        if handle.is_to_be_told:
            self._ring()
        return Kept(record._replace(version=record.version + 1), handle)

    async def page(
        self, project: str, *, prefix: str, marker: str, limit: int
    ) -> Sequence[Record]:
        """Return records of handles by name, as they are in the store."""
        return await self._storage.records.list(
            project,
            RecordKind.SIGNAL,
            "",
            prefix=prefix,
            marker=marker,
            limit=limit,
            now_ms=self._clock.now_ms(),
        )

    async def remove(self, project: str, name: str) -> None:
        """Forget a handle; those who wait for it are told."""
        now_ms = self._clock.now_ms()
        await self._storage.records.delete(
            project, RecordKind.SIGNAL, "", name, version=None, now_ms=now_ms
        )
        self._tell(project, name)

    def _filled(self, record: Record, handle: Handle) -> Record:
        return record._replace(
            document=signal_documents.encoded(handle),
            due_ms=signals.due_ms(handle, self._clock.now_ms()),
            expires_ms=self.expires_ms(handle),
            seal=self._storage.capabilities.encrypts,
        )

    def _tell(self, project: str, name: str) -> None:
        self._storage.wakeups.tell(Topic(project, TopicKind.SIGNAL, name))
