"""Claims in SQLite: a lease is three columns of the messages under it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Literal, NamedTuple

from queues.errors import ClaimLost, QueueChanged
from queues.model import Claim, DeadLetterPolicy, Idempotency, Message
from queues.storage import DEAD_LETTERS_PER_CLAIM, ClaimStore
from storage_drivers.sqlite.codec import Row, pack_claim_id, to_leased, to_message
from storage_drivers.sqlite.dead_letters import bury
from storage_drivers.sqlite.idempotency import recall, remember
from storage_drivers.sqlite.lane import Lane
from storage_drivers.sqlite.layout import statements
from storage_drivers.sqlite.places import Place, locate
from storage_drivers.sqlite.sweep import UNTIDY, Untidy, tidy_first, write_tidily
from storage_drivers.sqlite.transaction import Transaction

_SQL = statements("claims")
_MESSAGES = statements("messages")


class Lease(NamedTuple):
    """What a claim or a renewal does to a message."""

    claim_id: str
    lease_ms: int
    grace_ms: int
    now_ms: int

    @property
    def ends_ms(self) -> int:
        """When the lease ends."""
        return self.now_ms + self.lease_ms

    def extended(self) -> tuple[int, int]:
        """Return `ttl_s` and `expires_ms` of a message that would expire before the lease."""
        return (self.lease_ms + self.grace_ms) // 1000, self.ends_ms + self.grace_ms


class Claims(ClaimStore):
    """The contract's view on claims."""

    def __init__(self, writer: Lane[Transaction], readers: Lane[sqlite3.Connection]) -> None:
        self._writer = writer
        self._readers = readers

    async def claim(
        self,
        project: str,
        queue: str,
        *,
        claim_id: str,
        limit: int,
        lease_ms: int,
        grace_ms: int,
        dead_letter: DeadLetterPolicy | None,
        queue_version: int,
        idempotency: Idempotency | None,
        now_ms: int,
    ) -> Claim | None:
        """See the contract."""
        lease = Lease(claim_id, lease_ms, grace_ms, now_ms)
        return await write_tidily(
            self._writer,
            lambda transaction: _claim(
                transaction,
                project,
                queue,
                lease,
                limit,
                dead_letter,
                queue_version,
                idempotency,
            ),
        )

    async def get(
        self, project: str, queue: str, claim_id: str, *, now_ms: int
    ) -> Claim | None:
        """See the contract."""
        return await self._readers.run(
            lambda connection: _get(connection, project, queue, claim_id, now_ms)
        )

    async def renew(
        self,
        project: str,
        queue: str,
        claim_id: str,
        *,
        lease_ms: int,
        grace_ms: int,
        idempotency: Idempotency | None,
        now_ms: int,
    ) -> None:
        """See the contract."""
        lease = Lease(claim_id, lease_ms, grace_ms, now_ms)
        await self._writer.run(
            lambda transaction: _renew(transaction, project, queue, lease, idempotency)
        )

    async def hold(
        self,
        project: str,
        queue: str,
        seqs: Sequence[int],
        *,
        claim_id: str,
        lease_ms: int,
        now_ms: int,
    ) -> Sequence[Message]:
        """See the contract."""
        lease = Lease(claim_id, lease_ms, 0, now_ms)
        return await write_tidily(
            self._writer, lambda transaction: _hold(transaction, project, queue, seqs, lease)
        )

    async def release(self, project: str, queue: str, claim_id: str, *, now_ms: int) -> None:
        """See the contract."""
        await self._writer.run(
            lambda transaction: _release(transaction, project, queue, claim_id)
        )


def _claim(
    transaction: Transaction,
    project: str,
    queue: str,
    lease: Lease,
    limit: int,
    dead_letter: DeadLetterPolicy | None,
    queue_version: int,
    idempotency: Idempotency | None,
) -> Claim | Literal[Untidy.UNTIDY] | None:
    place = transaction.locate(project, queue)
    if place is not None:
        first_id = recall(transaction, place.queue_id, idempotency, lease.now_ms)
        if first_id is not None:
            return _load(transaction, place, first_id, lease.now_ms)
    if place is None or place.version != queue_version:
        raise QueueChanged("the queue is at another version")
    if tidy_first(transaction, place, lease.now_ms):
        return UNTIDY
    ready, dead = _pick(transaction, place.bucket_id, limit, dead_letter, lease.now_ms)
    if dead_letter is not None and dead:
        bury(transaction, project, queue, dead, dead_letter, lease.now_ms)
        body_bytes = sum(len(message.body) for message in dead)
        place.count(total=-len(dead), body_bytes=-body_bytes)
    if not ready:
        return None
    remember(transaction, place.queue_id, idempotency, lease.claim_id, lease.now_ms)
    return _lease(transaction, place, ready, lease)


def _pick(
    transaction: Transaction,
    bucket_id: int,
    limit: int,
    dead_letter: DeadLetterPolicy | None,
    now_ms: int,
) -> tuple[list[Row], list[Message]]:
    """Return the rows of ready messages to lease, and the messages to bury."""
    most = limit if dead_letter is None else limit + DEAD_LETTERS_PER_CLAIM
    rows = transaction.execute(_MESSAGES["ready"], (bucket_id, now_ms, most))
    if dead_letter is None:
        return rows.fetchall(), []
    ready: list[Row] = []
    dead: list[Message] = []
    for row in rows:
        message = to_message(row, now_ms)
        if message.claim_count >= dead_letter.max_claims:
            dead.append(message)
        else:
            ready.append(row)
        if len(ready) == limit or len(dead) == DEAD_LETTERS_PER_CLAIM:
            break
    rows.close()
    return ready, dead


def _lease(transaction: Transaction, place: Place, ready: list[Row], lease: Lease) -> Claim:
    claim_id, end_ms, extended = lease.claim_id, lease.ends_ms, lease.extended()
    leased = [to_leased(row, claim_id, end_ms, extended) for row in ready]
    transaction.execute_for(
        [row[0] for row in ready],
        _SQL["lease"],
        (pack_claim_id(claim_id), end_ms, lease.lease_ms),
    )
    place.count(claimed=len(ready))
    place.note_due(end_ms)
    if any(message.expires_ms == extended[1] for message in leased):
        _extend(transaction, place, lease)
    return Claim(claim_id, lease.lease_ms, lease.now_ms, leased)


def _extend(transaction: Transaction, place: Place, lease: Lease) -> None:
    """Let no message under the lease, which has begun, expire before its end."""
    claim = (place.bucket_id, pack_claim_id(lease.claim_id), lease.now_ms, lease.now_ms)
    transaction.execute(_SQL["extend"], (*lease.extended(), *claim, lease.ends_ms))


def _get(
    connection: sqlite3.Connection, project: str, queue: str, claim_id: str, now_ms: int
) -> Claim | None:
    place = locate(connection, project, queue)
    return None if place is None else _load(connection, place, claim_id, now_ms)


def _load(
    connection: sqlite3.Connection | Transaction, place: Place, claim_id: str, now_ms: int
) -> Claim | None:
    arguments = (place.bucket_id, pack_claim_id(claim_id), now_ms, now_ms)
    rows = connection.execute(_SQL["get"], arguments).fetchall()
    if not rows:
        return None
    messages = [to_message(row[:-1], now_ms) for row in rows]
    lease_ms = rows[0][-1]
    return Claim(claim_id, lease_ms, messages[0].visible_ms - lease_ms, messages)


def _renew(
    transaction: Transaction,
    project: str,
    queue: str,
    lease: Lease,
    idempotency: Idempotency | None,
) -> None:
    place = transaction.locate(project, queue)
    if place is None:
        raise ClaimLost("the claim holds no message any more")
    if recall(transaction, place.queue_id, idempotency, lease.now_ms) is not None:
        return
    now_ms = lease.now_ms
    arguments = (place.bucket_id, pack_claim_id(lease.claim_id), now_ms, now_ms)
    renewed = transaction.execute(_SQL["renew"], (lease.ends_ms, lease.lease_ms, *arguments))
    if not renewed.rowcount:
        raise ClaimLost("the claim holds no message any more")
    transaction.tell(project, queue)
    place.note_due(lease.ends_ms)
    _extend(transaction, place, lease)
    remember(transaction, place.queue_id, idempotency, "", lease.now_ms)


def _release(transaction: Transaction, project: str, queue: str, claim_id: str) -> None:
    place = transaction.locate(project, queue)
    if place is not None:
        arguments = (place.bucket_id, pack_claim_id(claim_id))
        place.count(claimed=-transaction.execute(_SQL["release"], arguments).rowcount)
        transaction.tell(project, queue)


def _hold(
    transaction: Transaction, project: str, queue: str, seqs: Sequence[int], lease: Lease
) -> Sequence[Message] | Literal[Untidy.UNTIDY]:
    place = transaction.locate(project, queue)
    if place is None:
        return ()
    if tidy_first(transaction, place, lease.now_ms):
        return UNTIDY
    wanted = (place.bucket_id, lease.now_ms)
    rows = transaction.execute_for(seqs, _MESSAGES["ready_of"], wanted)
    ready = sorted(to_message(row, lease.now_ms) for row in rows)
    arguments = (pack_claim_id(lease.claim_id), lease.ends_ms, lease.lease_ms)
    transaction.execute_for([message.seq for message in ready], _SQL["hold"], arguments)
    place.count(claimed=len(ready))
    if ready:
        place.note_due(lease.ends_ms)
    return [
        message._replace(claim_id=lease.claim_id, visible_ms=lease.ends_ms) for message in ready
    ]
