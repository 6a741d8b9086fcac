"""What may happen to queues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from queues import ids, metadata, patch
from queues.clock import Clock
from queues.errors import Forbidden, QueueChanged, QueueNotFound, StorageUnavailable
from queues.identity import Grant
from queues.limits import Limits, check_count
from queues.model import Queue, Stats
from queues.operations.accounts import NOTHING
from queues.operations.cursors import forget_cursors
from queues.operations.policies import Policies
from queues.operations.quotas import Quotas
from queues.patch import Change
from queues.storage import Storage

#: A filtered listing reads at most this many queues for one page.
_READ_PER_LISTING = 1000
#: Of so many patches of one queue that meet, each is applied: one of them is with each attempt.
_ATTEMPTS = 100


class QueueQuery(NamedTuple):
    """What a listing of queues asks for. `filters` compare top-level metadata values."""

    marker: str
    limit: int
    detailed: bool
    name_part: str
    with_count: bool
    filters: Mapping[str, str]


class ListedQueue(NamedTuple):
    """A queue in a listing; `metadata` only when details were asked for."""

    name: str
    metadata: Mapping[str, Any] | None


class QueuePage(NamedTuple):
    """One page of queues. `marker` is None when nothing can follow an empty page."""

    queues: list[ListedQueue]
    marker: str | None
    total: int | None


class QueueStats(NamedTuple):
    """Counts of a queue, with what is needed to show its oldest and newest message."""

    stats: Stats
    tag: str
    now_ms: int


class QueueOperations:
    """Create, describe, change, list, count, purge and delete queues."""

    def __init__(
        self,
        storage: Storage,
        limits: Limits,
        clock: Clock,
        policies: Policies,
        quotas: Quotas,
    ) -> None:
        """Work on `storage` under `limits`, with the time of `clock`."""
        self._storage = storage
        self._limits = limits
        self._clock = clock
        self._policies = policies
        self._quotas = quotas

    async def create(
        self,
        project: str,
        queue: str,
        document: Mapping[str, Any],
        *,
        grant: Grant | None = None,
    ) -> bool:
        """Create the queue with this metadata; return False if it already existed.

        An existing queue keeps its metadata, but `document` is checked all the same.

        Raises: InvalidRequest; QuotaExceeded; Forbidden for dead letters to a queue beyond
        `grant`.
        """
        self._check(queue, document)
        _check_dead_letters(document, {}, grant)
        stored_document = metadata.encode(document, self._limits)
        if self._quotas.is_free(project) or await self.exists(project, queue):
            return await self._create(project, queue, stored_document)
        with await self._quotas.admit_queue(project) as admitted:
            created = await self._create(project, queue, stored_document)
            admitted.use(admitted.reserved if created else NOTHING)
            return created

    async def _create(self, project: str, queue: str, document: bytes) -> bool:
        stored, created = await self._storage.queues.create(
            project,
            queue,
            metadata=document,
            version=ids.new_version(),
            now_ms=self._clock.now_ms(),
        )
        await self._policies.remember(project, stored)
        return created

    async def exists(self, project: str, queue: str) -> bool:
        """Say whether the queue exists."""
        return await self._storage.queues.get(project, queue) is not None

    async def describe(self, project: str, queue: str) -> Mapping[str, Any]:
        """Return the metadata with defaults filled in; an absent queue shows the defaults."""
        found = await self._storage.queues.get(project, queue)
        return self._shown(found) if found else metadata.with_defaults({}, self._limits)

    async def update(
        self, project: str, queue: str, changes: list[Change], *, grant: Grant | None = None
    ) -> Mapping[str, Any]:
        """Apply a patch and return the new metadata; concurrent patches are all applied.

        Raises: QueueNotFound, MetadataConflict, InvalidRequest, Forbidden for dead letters
        to a queue beyond `grant`; nothing changed then.
        """
        for _ in range(_ATTEMPTS):
            found = await self._storage.queues.get(project, queue)
            if found is None:
                raise QueueNotFound(f"Queue {queue} does not exist.")
            try:
                return self._shown(await self._patch(project, found, changes, grant))
            except QueueChanged:
                continue
        raise StorageUnavailable("the queue changes faster than the patch can follow")

    async def _patch(
        self, project: str, found: Queue, changes: list[Change], grant: Grant | None
    ) -> Queue:
        current = metadata.decode(found.metadata)
        patched = patch.apply(current, changes, metadata.reserved_defaults(self._limits))
        self._check(found.name, patched)
        _check_dead_letters(patched, current, grant)
        stored = await self._storage.queues.update(
            project,
            found.name,
            metadata=metadata.encode(patched, self._limits),
            expected_version=found.version,
            version=ids.new_version(),
        )
        await self._policies.remember(project, stored)
        return stored

    def _check(self, queue: str, document: Mapping[str, Any]) -> None:
        encrypts = self._storage.capabilities.encrypts
        metadata.check(queue, document, self._limits, encrypts=encrypts)

    async def delete(self, project: str, queue: str) -> None:
        """Delete the queue, all in it, and its cursors. An absent queue is no error."""
        now_ms = self._clock.now_ms()
        # NOTE: first the cursors, so that none is left when only half of this happens.
        await forget_cursors(self._storage, project, queue, now_ms=now_ms)
        await self._storage.queues.delete(project, queue, now_ms=now_ms)

    async def purge(self, project: str, queue: str) -> None:
        """Remove every message in every state, in constant time."""
        await self._storage.queues.purge(project, queue, now_ms=self._clock.now_ms())

    async def stats(self, project: str, queue: str) -> QueueStats:
        """Count the messages; an absent queue gives zeros."""
        now_ms = self._clock.now_ms()
        stats = await self._storage.queues.stats(project, queue, now_ms=now_ms)
        return QueueStats(stats, ids.queue_tag(project, queue), now_ms)

    async def _matching(
        self, project: str, query: QueueQuery, grant: Grant | None
    ) -> tuple[list[Queue], str | None]:
        """Return the queues of the page and where to continue."""
        matching: list[Queue] = []
        marker, read = query.marker, 0
        filtered = bool(query.name_part or query.filters or grant)
        while read < _READ_PER_LISTING:
            step = 100 if filtered else query.limit
            batch = await self._storage.queues.list(project, marker=marker, limit=step)
            for queue in batch:
                marker = queue.name
                if _matches(queue, query) and (grant is None or grant.covers(marker)):
                    matching.append(queue)
                if len(matching) == query.limit:
                    return matching, marker
            if len(batch) < step:
                return matching, matching[-1].name if matching else None
            read += step
        return matching, marker

    def _shown(self, queue: Queue) -> Mapping[str, Any]:
        return metadata.with_defaults(metadata.decode(queue.metadata), self._limits)

    async def list(
        self, project: str, query: QueueQuery, *, grant: Grant | None = None
    ) -> QueuePage:
        """Return a page of queues by name; a `grant` shows those that it covers, uncounted.

        The page may be short, even empty, and still carry a marker: a filter that fits few
        queues reads a bounded number of them at a time.

        Raises: InvalidRequest for a limit out of range.
        """
        check_count("limit", query.limit, self._limits.max_queues_per_page)
        found, marker = await self._matching(project, query, grant)
        shown = [
            ListedQueue(queue.name, self._shown(queue) if query.detailed else None)
            for queue in found
        ]
        counted = query.with_count and grant is None
        total = await self._storage.queues.count(project) if counted else None
        return QueuePage(shown, marker, total)


def _check_dead_letters(
    wanted: Mapping[str, Any], current: Mapping[str, Any], grant: Grant | None
) -> None:
    # SECURITY: else messages of a queue that one may manage would open one that one may not.
    target = wanted.get("_dead_letter_queue")
    changed = target != current.get("_dead_letter_queue")
    if grant is not None and target and changed and not grant.covers(target):
        raise Forbidden(f"You are not allowed to send dead letters to {target}.")


def _matches(queue: Queue, query: QueueQuery) -> bool:
    if query.name_part not in queue.name:
        return False
    if not query.filters:
        return True
    document = metadata.decode(queue.metadata)
    return all(
        name in document and _equals(document[name], text)
        for name, text in query.filters.items()
    )


def _equals(value: object, text: str) -> bool:
    """Compare a metadata value with the text of a query parameter."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) == text
    return value == text
