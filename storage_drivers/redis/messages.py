"""Messages outside of claims."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from queues.model import (
    Idempotency,
    Message,
    MessagePage,
    NewMessage,
    Position,
    Record,
    Refusal,
)
from queues.storage import HIDDEN_PER_LISTING, MessageStore
from storage_drivers.redis.codec import client_bytes, pack, unpack, unpack_all
from storage_drivers.redis.errors import RefusalCode
from storage_drivers.redis.executor import Executor, idempotent
from storage_drivers.redis.layout import MESSAGES, POSTING, RECORDS, encode, sequence_key
from storage_drivers.redis.scripts import Script
from storage_drivers.redis.visits import Announcements

_POST = Script(
    "post_messages",
    keys=f"meta seq {POSTING} idempotency",
    args="now_ms queue_version fingerprint window_ms posted...",
)
_POST_WITH_OUTBOX = Script(
    "post_with_outbox",
    keys=f"meta seq {POSTING} {RECORDS} notice idempotency",
    args="now_ms queue_version fingerprint window_ms kind version due_ms expires_ms document "
    "announced posted...",
)
_LIST = Script(
    "list_messages",
    keys=MESSAGES,
    args="now_ms after_seq limit include_claimed include_delayed client max_hidden",
)
_DELETE = Script(
    "delete_messages",
    keys=f"{MESSAGES} claim",
    args="now_ms condition claim_count claims_and_members...",
)
_POP = Script("pop_messages", keys=MESSAGES, args="now_ms limit")
_TAIL = Script("queue_tail", keys="meta seq", args="")

_REFUSALS = {
    RefusalCode.CLAIMED: Refusal.CLAIMED,
    RefusalCode.NOT_CLAIMED: Refusal.NOT_CLAIMED,
}


class RedisMessageStore(MessageStore):
    """Messages, each a record in a hash; which are ready is noted page by page."""

    def __init__(self, executor: Executor, announcements: Announcements) -> None:
        self._executor = executor
        self._layout = executor.layout
        self._announcements = announcements

    async def post(
        self,
        project: str,
        queue: str,
        messages: Sequence[NewMessage],
        *,
        queue_version: int,
        idempotency: Idempotency | None,
        now_ms: int,
        outbox: Record | None = None,
    ) -> Sequence[int]:
        place = self._layout.queue(project, queue)
        keys, repeated = idempotent(place, idempotency)
        posted = [pack(message, now_ms) for message in messages]
        if outbox is None:
            answer = await self._executor.run(
                _POST, place, keys, posted,
                now_ms=now_ms, queue_version=queue_version, **repeated,
            )  # fmt: skip
        else:
            answer = await self._announcements.write(
                _POST_WITH_OUTBOX, place, outbox, keys, posted,
                now_ms=now_ms, queue_version=queue_version, **repeated, kind=outbox.kind.value,
            )  # fmt: skip
        if isinstance(answer, int):
            return range(answer, answer + len(messages))
        first, last = answer
        return range(first, last + 1)

    async def list(
        self,
        project: str,
        queue: str,
        *,
        after_seq: int,
        limit: int,
        include_claimed: bool,
        include_delayed: bool,
        exclude_client_id: str | None,
        now_ms: int,
    ) -> MessagePage:
        next_seq, *found = await self._executor.run(
            _LIST,
            self._layout.queue(project, queue),
            now_ms=now_ms,
            after_seq=after_seq,
            limit=limit,
            include_claimed=int(include_claimed),
            include_delayed=int(include_delayed),
            client=b"" if exclude_client_id is None else client_bytes(exclude_client_id),
            max_hidden=HIDDEN_PER_LISTING,
        )
        return MessagePage(unpack_all(found, now_ms), next_seq or None)

    async def get(
        self, project: str, queue: str, seqs: Sequence[int], *, now_ms: int
    ) -> Sequence[Message]:
        if not seqs:
            return []
        place = self._layout.queue(project, queue)
        records = await self._executor.command(
            place, b"HMGET", place.keys["messages"], *map(sequence_key, seqs)
        )
        found = [
            unpack(seq, record, now_ms)
            for seq, record in zip(seqs, records, strict=True)
            if record is not None
        ]
        return [message for message in found if message.expires_ms > now_ms]

    async def delete(
        self,
        project: str,
        queue: str,
        seqs: Sequence[int],
        *,
        claim_ids: Collection[str] | None,
        now_ms: int,
    ) -> Mapping[int, Refusal]:
        condition = "any" if claim_ids is None else "claim" if claim_ids else "free"
        place = self._layout.queue(project, queue)
        claims = list(claim_ids or ())
        refused = await self._executor.run(
            _DELETE,
            place,
            {"claim": place.claim(claims[0] if claims else "")},
            [*map(encode, claims), *map(sequence_key, seqs)],
            now_ms=now_ms,
            condition=condition,
            claim_count=len(claims),
        )
        pairs = zip(refused[::2], refused[1::2], strict=True)
        return {int.from_bytes(member, "big"): _REFUSALS[code] for member, code in pairs}

    async def pop(
        self, project: str, queue: str, *, limit: int, now_ms: int
    ) -> Sequence[Message]:
        place = self._layout.queue(project, queue)
        popped = await self._executor.run(_POP, place, now_ms=now_ms, limit=limit)
        return unpack_all(popped, now_ms)

    async def tail(self, project: str, queue: str) -> Position:
        # No sequence of one life of a queue is left out, so it is the number as well.
        seq = await self._executor.run(_TAIL, self._layout.queue(project, queue))
        return Position(seq, seq)

    async def next_due(self, project: str, queue: str, *, now_ms: int) -> int | None:
        place = self._layout.queue(project, queue)
        first = await self._executor.command(
            place, b"ZRANGE", place.keys["waiting"], b"0", b"0", b"WITHSCORES"
        )
        return int(first[1]) if first else None
