"""Moving dead letters, in small steps that any process can take up.

A step names the letters it takes in hand in the record of the redrive; then it leases them;
then each is posted in its target under a key made of its id, and deleted. Whoever comes after
a crash at any line finishes with the letters in hand first: a post that is repeated stores
nothing, and a letter that was deleted is not found. So none is lost and none is doubled,
wherever the two queues are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from queues import filters, ids, redrives
from queues.clock import Clock
from queues.errors import InvalidRequest, QuotaExceeded, RateExceeded
from queues.limits import Limits
from queues.model import DeadLetter, Media, Message, Record, RecordKind, Taken
from queues.operations import dead_letters
from queues.operations.agenda import LEASE_MS, Agenda
from queues.operations.messages import Draft, MessageOperations
from queues.redrives import Redrive
from queues.storage import Storage, outbox_key

#: Letters in hand are kept from others for so long: until a redrive that was interrupted is
#: taken up, also when no server runs for a day.
HOLD_MS = 86_400_000

#: So many steps of one redrive before others have their turn.
_STEPS = 25

#: After a refusal by a quota, the next attempt.
_PAUSE_MS = 5000

#: Of a message that died again and again, the last rounds are kept.
_MAX_ROUNDS = 20

#: The client id of what a redrive posts: nobody's.
_CLIENT_ID = "00000000-0000-0000-0000-000000000000"


class _Interrupted(Exception):
    """The record is settled already, by this process or by another one."""


class _Work(NamedTuple):
    """The record as this process knows it, and what it says."""

    project: str
    record: Record
    redrive: Redrive

    @property
    def queue(self) -> str:
        return self.record.scope


class Redriver:
    """Handles the records of redrives."""

    def __init__(
        self,
        storage: Storage,
        limits: Limits,
        clock: Clock,
        *,
        messages: MessageOperations,
        agenda: Agenda,
        to_json: Callable[[bytes, Media], bytes],
    ) -> None:
        """Post by `messages`; `to_json` shows the filter what a body says."""
        self._storage = storage
        self._limits = limits
        self._clock = clock
        self._messages = messages
        self._agenda = agenda
        self._to_json = to_json

    async def handle(self, taken: Taken) -> None:
        """Take some steps, and settle the record."""
        work = _Work(taken.project, taken.record, redrives.decode(taken.record.document))
        try:
            work = await self._finish(work, resumed=True)
            for _ in range(_STEPS):
                if not work.redrive.batch:
                    await self._save(work, work.redrive.ended(self._now_ms()), due_ms=None)
                    return
                work = await self._take_in_hand(work)
                in_hand = len(work.redrive.held)
                work = await self._finish(work, resumed=False)
                if in_hand and work.redrive.wanted.rate_per_s is not None:
                    await self._rest(work, in_hand)
                    return
            await self._rest(work, 0)
        except _Interrupted:
            return

    async def _rest(self, work: _Work, moved: int) -> None:
        """Let others have their turn, for as long as the rate demands."""
        pause_ms = round(moved * 1000 / (work.redrive.wanted.rate_per_s or 1))
        await self._save(work, work.redrive, due_ms=self._now_ms() + pause_ms)
        if not pause_ms:
            self._agenda.ring()

    async def _take_in_hand(self, work: _Work) -> _Work:
        """Choose the next letters, and write down which."""
        redrive, now_ms = work.redrive, self._now_ms()
        page = await self._storage.messages.list(
            work.project,
            work.queue,
            after_seq=redrive.after_seq,
            limit=redrive.batch,
            include_claimed=False,
            include_delayed=False,
            exclude_client_id=None,
            now_ms=now_ms,
        )
        seen = [message for message in page.messages if message.seq <= redrive.until_seq]
        chosen = tuple(message.seq for message in seen if self._is_wanted(redrive, message))
        chosen_too = replace(
            redrive,
            after_seq=page.next_seq or redrive.until_seq,
            held=chosen,
            skipped=redrive.skipped + len(seen) - len(chosen),
        )
        return await self._save(work, chosen_too, due_ms=now_ms + LEASE_MS)

    def _is_wanted(self, redrive: Redrive, message: Message) -> bool:
        origin, wanted = message.dead_letter, redrive.wanted
        if origin is None or wanted.source not in (None, origin.queue):
            return False
        if wanted.reason not in (None, str(origin.reason)):
            return False
        if wanted.body is None:
            return True
        body = json.loads(self._to_json(message.body, message.media))
        return filters.passes({"body": wanted.body}, body, {}, unclear=False)

    async def _finish(self, work: _Work, *, resumed: bool) -> _Work:
        """Move the letters in hand, then write down that none is.

        What is no longer there was moved before the crash, if this goes on after one, and
        else was taken by somebody who was faster.
        """
        held = work.redrive.held
        if not held:
            return work
        letters = await self._held(work)
        gone = len(held) - len(letters)
        moved, refused, skipped = (gone, 0, 0) if resumed else (0, 0, gone)
        for done, letter in enumerate(letters):
            try:
                is_moved = await self._move(work, letter)
            except (QuotaExceeded, RateExceeded) as ex:
                left = tuple(letter.seq for letter in letters[done:])
                counted = _counted(work.redrive, left, moved, refused, skipped)
                await self._save(work, counted, due_ms=self._now_ms() + _PAUSE_MS)
                raise _Interrupted from ex
            moved, refused = moved + is_moved, refused + (not is_moved)
        if refused:
            await self._storage.claims.release(
                work.project, work.queue, work.redrive.id, now_ms=self._now_ms()
            )
        counted = _counted(work.redrive, (), moved, refused, skipped)
        return await self._save(work, counted, due_ms=self._now_ms() + LEASE_MS)

    async def _held(self, work: _Work) -> Sequence[Message]:
        """Return the letters in hand that are there, under a lease of this redrive."""
        claims, now_ms = self._storage.claims, self._now_ms()
        await claims.hold(
            work.project,
            work.queue,
            work.redrive.held,
            claim_id=work.redrive.id,
            lease_ms=HOLD_MS,
            now_ms=now_ms,
        )
        claim = await claims.get(work.project, work.queue, work.redrive.id, now_ms=now_ms)
        return claim.messages if claim else ()

    async def _move(self, work: _Work, letter: Message) -> bool:
        """Post a letter in its target and delete it; say if the target took it."""
        origin = letter.dead_letter
        assert origin is not None, "only dead letters are taken in hand"  # noqa: S101
        target = work.redrive.wanted.to or origin.queue
        try:
            posted = await self._messages.post(
                work.project,
                target,
                [Draft(letter.body, letter.media, None, None)],
                client_id=_CLIENT_ID,
                document_bytes=len(letter.body),
                # NOTE: the blank keeps it apart from the keys of clients, which have none.
                idempotency_key=f"redrive {work.queue} {letter.seq}",
                # SECURITY: what is encrypted stays so, whatever its target asks for.
                seal=letter.sealed,
            )
        except InvalidRequest:
            return False
        await self._remember(work.project, target, posted.message_ids[0], letter, origin)
        await self._storage.messages.delete(
            work.project,
            work.queue,
            [letter.seq],
            claim_ids=[work.redrive.id],
            now_ms=self._now_ms(),
        )
        return True

    async def _remember(
        self, project: str, target: str, message_id: str, letter: Message, origin: DeadLetter
    ) -> None:
        """Keep the history of a message under its new place."""
        now_ms = self._now_ms()
        rounds = await dead_letters.rounds_of(self._storage, project, origin, now_ms=now_ms)
        rounds.append(_round(project, letter, origin, now_ms))
        seq = ids.parse_message_id(message_id, ids.queue_tag(project, target))
        assert seq is not None, "the id of a message that was posted there"  # noqa: S101
        lineage = Record(
            RecordKind.LINEAGE,
            target,
            outbox_key(seq),
            json.dumps({"rounds": rounds[-_MAX_ROUNDS:]}).encode(),
            ids.new_version(),
            expires_ms=now_ms + self._limits.max_message_ttl_s * 1000,
        )
        await self._storage.records.create(project, lineage, now_ms=now_ms)

    async def _save(self, work: _Work, redrive: Redrive, *, due_ms: int | None) -> _Work:
        changed = work.record._replace(document=redrives.encode(redrive), due_ms=due_ms)
        if not await self._storage.records.replace(
            work.project, changed, now_ms=self._now_ms()
        ):
            raise _Interrupted
        return _Work(work.project, changed._replace(version=changed.version + 1), redrive)

    def _now_ms(self) -> int:
        return self._clock.now_ms()


def _counted(
    redrive: Redrive, held: tuple[int, ...], moved: int, refused: int, skipped: int
) -> Redrive:
    return replace(
        redrive,
        held=held,
        moved=redrive.moved + moved,
        refused=redrive.refused + refused,
        skipped=redrive.skipped + skipped,
    )


def _round(project: str, letter: Message, origin: DeadLetter, now_ms: int) -> dict[str, Any]:
    """Return one round of a message: posted, dead, sent back."""
    return {
        "queue": origin.queue,
        "message_id": ids.message_id(origin.seq, ids.queue_tag(project, origin.queue)),
        "reason": str(origin.reason),
        "claim_count": origin.claim_count,
        "posted_ms": letter.posted_ms,
        "moved_ms": origin.moved_ms,
        "redriven_ms": now_ms,
    }
