"""What may happen with dead letters: see why they died, and send them back."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from queues import ids, redrives
from queues.authorization import Authorization
from queues.clock import Clock
from queues.errors import RedriveNotFound, RedriveRunning, StorageUnavailable
from queues.identity import Identity
from queues.limits import Limits, check_count
from queues.model import DeadLetter, Message, Record, RecordKind
from queues.operations.agenda import Agenda
from queues.redrives import Redrive, RedriveState, Wanted
from queues.storage import Storage, outbox_key

_ATTEMPTS = 20


class Letter(NamedTuple):
    """A dead letter, and the rounds that its message has made before, the first one first."""

    message: Message
    origin: DeadLetter
    rounds: Sequence[dict[str, Any]]


class LetterPage(NamedTuple):
    """Dead letters as they stood at `now_ms`; `next_seq` is where the listing goes on."""

    letters: Sequence[Letter]
    tag: str
    now_ms: int
    next_seq: int | None


class DeadLetterOperations:
    """List dead letters; start, watch and cancel redrives. A queue has one at a time."""

    def __init__(
        self,
        storage: Storage,
        limits: Limits,
        clock: Clock,
        *,
        authorization: Authorization,
        agenda: Agenda,
    ) -> None:
        """Let `authorization` say who may post where, and ring `agenda` when there is work."""
        self._storage = storage
        self._limits = limits
        self._clock = clock
        self._authorization = authorization
        self._agenda = agenda

    async def list(self, project: str, queue: str, *, marker: str, limit: int) -> LetterPage:
        """Return a page of the messages that came as dead letters, in any state.

        What was posted here by anybody is left out, so a page may be short, even empty, and
        still have a `next_seq`. A marker that is no message id of this queue gives none.

        Raises: InvalidRequest for a limit out of range.
        """
        check_count("limit", limit, self._limits.max_messages_per_page)
        tag, now_ms = ids.queue_tag(project, queue), self._clock.now_ms()
        after_seq = ids.parse_message_id(marker, tag) if marker else 0
        if after_seq is None:
            return LetterPage((), tag, now_ms, None)
        page = await self._storage.messages.list(
            project,
            queue,
            after_seq=after_seq,
            limit=limit,
            include_claimed=True,
            include_delayed=True,
            exclude_client_id=None,
            now_ms=now_ms,
        )
        found = [(message, message.dead_letter) for message in page.messages]
        letters = [
            self._letter(project, message, origin) for message, origin in found if origin
        ]
        return LetterPage(await asyncio.gather(*letters), tag, now_ms, page.next_seq)

    async def _letter(self, project: str, message: Message, origin: DeadLetter) -> Letter:
        rounds = await rounds_of(self._storage, project, origin, now_ms=self._clock.now_ms())
        return Letter(message, origin, rounds)

    async def start(self, identity: Identity, queue: str, wanted: Wanted) -> Redrive:
        """Begin to move the dead letters that are in the queue now.

        Whoever starts it must be allowed to post where the letters go; who may not post
        everywhere has to name one queue.

        Raises: InvalidRequest, Forbidden, RedriveRunning.
        """
        redrives.check(wanted)
        self._authorization.check("messages:create", identity, wanted.to or "*")
        project, now_ms = identity.project, self._clock.now_ms()
        tail = await self._storage.messages.tail(project, queue)
        begun = Redrive(
            secrets.token_hex(12), wanted, RedriveState.RUNNING, 0, tail.seq, now_ms
        )
        await self._store(project, queue, begun)
        self._agenda.ring()
        return begun

    async def _store(self, project: str, queue: str, begun: Redrive) -> None:
        now_ms = begun.started_ms
        new = record(queue, begun, version=ids.new_version(), due_ms=now_ms)
        if await self._storage.records.create(project, new, now_ms=now_ms):
            return
        stored = await self._read(project, queue)
        if not redrives.decode(stored.document).is_over:
            raise RedriveRunning(f"A redrive of queue {queue} is running; there can be one.")
        anew = record(queue, begun, version=stored.version, due_ms=now_ms)
        if not await self._storage.records.replace(project, anew, now_ms=now_ms):
            raise RedriveRunning(f"Another redrive of queue {queue} was started meanwhile.")

    async def get(self, project: str, queue: str) -> Redrive:
        """Return the redrive that runs, or else the last one.

        Raises: RedriveNotFound when there never was one.
        """
        return redrives.decode((await self._read(project, queue)).document)

    async def cancel(self, project: str, queue: str) -> Redrive:
        """Let the redrive end: what it has in hand is finished, nothing more is begun.

        One that is over stays as it ended.

        Raises: RedriveNotFound.
        """
        for _ in range(_ATTEMPTS):
            stored = await self._read(project, queue)
            current = redrives.decode(stored.document)
            if current.state is not RedriveState.RUNNING:
                return current
            now_ms = self._clock.now_ms()
            ending = replace(current, state=RedriveState.CANCELLING)
            changed = record(queue, ending, version=stored.version, due_ms=now_ms)
            if await self._storage.records.replace(project, changed, now_ms=now_ms):
                self._agenda.ring()
                return ending
        raise StorageUnavailable("the redrive goes on faster than it can be cancelled")

    async def _read(self, project: str, queue: str) -> Record:
        stored = await self._storage.records.get(
            project, RecordKind.REDRIVE, queue, "", now_ms=self._clock.now_ms()
        )
        if stored is None:
            raise RedriveNotFound(f"There is no redrive of queue {queue}.")
        return stored


def record(queue: str, redrive: Redrive, *, version: int, due_ms: int | None) -> Record:
    """Return the record of the one redrive of a queue."""
    return Record(RecordKind.REDRIVE, queue, "", redrives.encode(redrive), version, due_ms)


async def rounds_of(
    storage: Storage, project: str, origin: DeadLetter, *, now_ms: int
) -> list[dict[str, Any]]:
    """Return the earlier deaths of the message that was at `origin`, the first one first."""
    stored = await storage.records.get(
        project, RecordKind.LINEAGE, origin.queue, outbox_key(origin.seq), now_ms=now_ms
    )
    return json.loads(stored.document)["rounds"] if stored else []
