"""Moving messages to a dead-letter queue, in the transaction of the claim that met them."""

from __future__ import annotations

from collections.abc import Sequence

from queues.model import DeadLetter, DeadLetterPolicy, DeadLetterReason, Queue
from storage_drivers.sqlite.codec import pack_dead_letter
from storage_drivers.sqlite.layout import statements
from storage_drivers.sqlite.places import insert_queue, locate
from storage_drivers.sqlite.writer import Transaction

_SQL = statements("claims")
_MESSAGES = statements("messages")


def bury(
    transaction: Transaction,
    project: str,
    queue: str,
    letters: Sequence[tuple[int, int]],
    policy: DeadLetterPolicy,
    now_ms: int,
) -> None:
    """Move messages, given as (seq, claim_count), to the queue of the policy."""
    bucket_id = _bucket(transaction, project, policy, now_ms)
    expires_ms = None if policy.ttl_s is None else now_ms + policy.ttl_s * 1000
    new_seqs = transaction.next_sequences(len(letters), now_ms)
    reason = DeadLetterReason.MAX_CLAIM_COUNT
    rows = [
        (
            new_seq,
            bucket_id,
            policy.ttl_s,
            expires_ms,
            pack_dead_letter(DeadLetter(queue, seq, reason, claim_count, now_ms)),
            seq,
        )
        for new_seq, (seq, claim_count) in zip(new_seqs, letters, strict=True)
    ]
    transaction.executemany(_SQL["bury"], rows)
    moves = [(new_seq, seq) for new_seq, (seq, _) in zip(new_seqs, letters, strict=True)]
    transaction.executemany(_SQL["move_body"], moves)
    transaction.executemany(_MESSAGES["delete"], [(seq,) for seq, _ in letters])


def _bucket(
    transaction: Transaction, project: str, policy: DeadLetterPolicy, now_ms: int
) -> int:
    """Return the bucket of the dead-letter queue, which is created if absent."""
    place = locate(transaction, project, policy.queue)
    if place is not None:
        return place.bucket_id
    return insert_queue(
        transaction, project, Queue(policy.queue, b"{}", policy.version, now_ms)
    )
