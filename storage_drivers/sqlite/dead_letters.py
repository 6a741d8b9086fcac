"""Moving messages to a dead-letter queue, in the transaction of the claim that met them."""

from __future__ import annotations

from collections.abc import Sequence

from queues.model import DeadLetter, DeadLetterPolicy, DeadLetterReason, Message, Queue
from storage_drivers.sqlite.codec import pack_dead_letter
from storage_drivers.sqlite.layout import statements
from storage_drivers.sqlite.places import Place
from storage_drivers.sqlite.queues import insert_queue
from storage_drivers.sqlite.removal import remove
from storage_drivers.sqlite.transaction import Transaction

_SQL = statements("claims")


def bury(
    transaction: Transaction,
    project: str,
    queue: str,
    letters: Sequence[Message],
    policy: DeadLetterPolicy,
    now_ms: int,
) -> None:
    """Move messages to the queue of the policy. The caller takes them off its count."""
    place = _place(transaction, project, policy, now_ms)
    expires_ms = None if policy.ttl_s is None else now_ms + policy.ttl_s * 1000
    new_seqs = transaction.next_sequences(len(letters), now_ms)
    numbers = place.number(new_seqs)
    reason = DeadLetterReason.MAX_CLAIM_COUNT
    rows = [
        (
            new_seq,
            place.bucket_id,
            expires_ms,
            policy.ttl_s,
            pack_dead_letter(DeadLetter(queue, letter.seq, reason, letter.claim_count, now_ms)),
            number,
            letter.seq,
        )
        for new_seq, number, letter in zip(new_seqs, numbers, letters, strict=True)
    ]
    transaction.executemany(_SQL["bury"], rows)
    seqs = [letter.seq for letter in letters]
    moves = list(zip(new_seqs, seqs, strict=True))
    transaction.executemany(_SQL["move_body"], moves)
    remove(transaction, seqs, ())
    body_bytes = sum(len(letter.body) for letter in letters)
    place.count(total=len(letters), body_bytes=body_bytes)
    place.note_due(expires_ms or min(letter.expires_ms for letter in letters))


def _place(
    transaction: Transaction, project: str, policy: DeadLetterPolicy, now_ms: int
) -> Place:
    """Return the place of the dead-letter queue, which is created if absent."""
    place = transaction.locate(project, policy.queue)
    if place is not None:
        return place
    return insert_queue(
        transaction, project, Queue(policy.queue, b"{}", policy.version, now_ms)
    )
