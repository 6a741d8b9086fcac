"""What may happen to messages outside of claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from queues import ids
from queues.clock import Clock
from queues.errors import (
    DeleteUnderLostClaim,
    DeleteUnderOthersClaim,
    InvalidRequest,
    MessageClaimed,
    MessageNotFound,
    NuskuError,
    QueueChanged,
)
from queues.limits import Limits, check_count, check_message_delay, check_message_ttl
from queues.metadata import QueuePolicy
from queues.model import Media, Message, NewMessage, Refusal
from queues.operations.idempotency import remembered
from queues.operations.outbox import Outbox
from queues.operations.policies import Policies
from queues.operations.quotas import Quotas
from queues.storage import Storage


class Draft(NamedTuple):
    """A message as a client wants it posted; None takes the queue's default."""

    body: bytes
    media: Media
    ttl_s: int | None
    delay_s: int | None


class MessageQuery(NamedTuple):
    """What a listing of messages asks for. `marker` is a message id or empty."""

    marker: str
    limit: int
    echo: bool
    include_claimed: bool
    include_delayed: bool


class Posted(NamedTuple):
    """What a post did: the ids in the order of the drafts, and whether it made the queue."""

    message_ids: Sequence[str]
    made_queue: bool


class Snapshot(NamedTuple):
    """Messages as they stood at `now_ms`, with what is needed to show their ids and ages.

    `next_seq` is where a listing continues, None when nothing followed the marker.
    """

    messages: Sequence[Message]
    tag: str
    now_ms: int
    next_seq: int | None = None


class MessageOperations:
    """Post, list, get, delete and pop messages."""

    def __init__(
        self,
        storage: Storage,
        limits: Limits,
        clock: Clock,
        policies: Policies,
        quotas: Quotas,
        *,
        outbox: Outbox,
        delete_with_claim_id: bool,
    ) -> None:
        """Work on `storage`; `delete_with_claim_id` makes bulk deletes name their claims."""
        self._storage = storage
        self._limits = limits
        self._clock = clock
        self._policies = policies
        self._quotas = quotas
        self._outbox = outbox
        self._delete_with_claim_id = delete_with_claim_id

    async def post(
        self,
        project: str,
        queue: str,
        drafts: Sequence[Draft],
        *,
        client_id: str,
        document_bytes: int,
        idempotency_key: str | None,
        seal: bool = False,
    ) -> Posted:
        """Store messages; an absent queue is created.

        `document_bytes` is the size of the whole request, which the queue may cap. A repeat
        with the same key returns the first ids and stores nothing. With `seal` they are
        encrypted at rest also where the queue does not ask for it.

        Raises: InvalidRequest, QuotaExceeded, RateExceeded (nothing is stored or created
        then), IdempotencyKeyReused.
        """
        key = remembered(idempotency_key, drafts, self._limits)
        made_queue = False

        async def step(policy: QueuePolicy) -> Sequence[int]:
            nonlocal made_queue
            messages = self._prepare(drafts, policy, client_id, document_bytes)
            if seal:
                messages = [message._replace(seal=True) for message in messages]
            version = policy.version
            if version is None:
                version, policy = await self._create(project, queue)
                made_queue = True
            now_ms = self._clock.now_ms()
            outbox = None
            if policy.subscribed:
                outbox = self._outbox.entry(queue, policy, messages, now_ms)
            seqs = await self._storage.messages.post(
                project,
                queue,
                messages,
                queue_version=version,
                idempotency=key,
                now_ms=now_ms,
                outbox=outbox,
            )
            if policy.subscribed:
                self._outbox.stored()
            return seqs

        if self._quotas.is_free(project):
            seqs = await self._policies.apply(project, queue, step)
        else:
            body_bytes = sum(len(draft.body) for draft in drafts)
            with await self._quotas.admit_messages(project, len(drafts), body_bytes):
                seqs = await self._policies.apply(project, queue, step)
        return Posted(ids.message_ids(seqs, ids.queue_tag(project, queue)), made_queue)

    def _prepare(
        self, drafts: Sequence[Draft], policy: QueuePolicy, client_id: str, document_bytes: int
    ) -> list[NewMessage]:
        if not drafts:
            raise InvalidRequest("messages must hold at least one message.")
        if document_bytes > policy.max_post_bytes:
            raise InvalidRequest(
                f"The request must not exceed {policy.max_post_bytes} bytes for this queue."
            )
        messages, known = [], None
        for index, draft in enumerate(drafts):
            wanted = draft.ttl_s, draft.delay_s
            # PERF: most messages of a post ask for the same.
            if wanted != known:
                ttl_s, delay_s = self._lifetime(index, draft, policy)
                known = wanted
            messages.append(
                NewMessage(
                    draft.body, draft.media, ttl_s, delay_s * 1000, client_id, policy.seal
                )
            )
        return messages

    def _lifetime(self, index: int, draft: Draft, policy: QueuePolicy) -> tuple[int, int]:
        """Return ttl and delay of a message, with the defaults of its queue for None."""
        ttl_s, delay_s = policy.message_ttl_s, policy.message_delay_s
        if draft.ttl_s is not None:
            ttl_s = check_message_ttl(f"messages[{index}].ttl", draft.ttl_s, self._limits)
        if draft.delay_s is not None:
            delay_s = check_message_delay(
                f"messages[{index}].delay", draft.delay_s, self._limits
            )
        if delay_s >= ttl_s:
            raise InvalidRequest(
                f"messages[{index}]: a delay of {delay_s} s outlasts the ttl of {ttl_s} s, so "
                "nobody would ever see the message."
            )
        return ttl_s, delay_s

    async def _create(self, project: str, queue: str) -> tuple[int, QueuePolicy]:
        """Create the queue with empty metadata, as its first post does.

        Returns its version, and the policy that goes with it.

        Raises: QueueChanged when somebody else was faster, maybe with other metadata;
        QuotaExceeded.
        """
        if self._quotas.is_free(project):
            return await self._create_admitted(project, queue)
        with await self._quotas.admit_queue(project):
            return await self._create_admitted(project, queue)

    async def _create_admitted(self, project: str, queue: str) -> tuple[int, QueuePolicy]:
        stored, created = await self._storage.queues.create(
            project,
            queue,
            metadata=b"{}",
            version=ids.new_version(),
            now_ms=self._clock.now_ms(),
        )
        if not created:
            raise QueueChanged(f"queue {queue} was created meanwhile")
        return stored.version, await self._policies.remember(project, stored)

    async def list(
        self, project: str, queue: str, query: MessageQuery, *, client_id: str
    ) -> Snapshot:
        """Return a page of messages, oldest first; `echo` False hides the caller's own.

        A marker that is no message id of this queue gives an empty page.

        Raises: InvalidRequest for a limit out of range.
        """
        check_count("limit", query.limit, self._limits.max_messages_per_page)
        tag, now_ms = ids.queue_tag(project, queue), self._clock.now_ms()
        after_seq = ids.parse_message_id(query.marker, tag) if query.marker else 0
        if after_seq is None:
            return Snapshot((), tag, now_ms)
        page = await self._storage.messages.list(
            project,
            queue,
            after_seq=after_seq,
            limit=query.limit,
            include_claimed=query.include_claimed,
            include_delayed=query.include_delayed,
            exclude_client_id=None if query.echo else client_id,
            now_ms=now_ms,
        )
        return Snapshot(page.messages, tag, now_ms, page.next_seq)

    async def get_many(self, project: str, queue: str, message_ids: Sequence[str]) -> Snapshot:
        """Return the messages that exist, in the order asked for; unknown ids are skipped.

        Raises: InvalidRequest for too many or no ids, MessageNotFound when none exists.
        """
        check_count("ids", len(message_ids), self._limits.max_messages_per_page)
        tag, now_ms = ids.queue_tag(project, queue), self._clock.now_ms()
        seqs = _parse_ids(message_ids, tag)
        found: Sequence[Message] = ()
        if seqs:
            found = await self._storage.messages.get(project, queue, seqs, now_ms=now_ms)
        if not found:
            raise MessageNotFound(f"None of the messages exists in queue {queue}.")
        return Snapshot(found, tag, now_ms)

    async def delete(
        self, project: str, queue: str, message_id: str, *, claim_id: str | None
    ) -> None:
        """Delete one message; under a claim only with its id. Repeating is no error.

        Raises: MessageClaimed when it is claimed and no claim id was given;
        DeleteUnderLostClaim or DeleteUnderOthersClaim when the given claim does not hold it.
        """
        seqs = _parse_ids([message_id], ids.queue_tag(project, queue))
        if claim_id is not None and not ids.is_claim_id(claim_id):
            raise DeleteUnderLostClaim(f"{claim_id!r} is not the id of a claim.")
        refused = await self._storage.messages.delete(
            project,
            queue,
            seqs,
            claim_ids=() if claim_id is None else (claim_id,),
            now_ms=self._clock.now_ms(),
        )
        for reason in refused.values():
            raise _refusal(reason, message_id, claim_id)

    async def delete_many(
        self,
        project: str,
        queue: str,
        message_ids: Sequence[str],
        *,
        claim_ids: Sequence[str] | None,
    ) -> None:
        """Delete messages by id; unknown ids are skipped.

        Without `claim_ids` messages in every state are deleted, as Zaqar does, unless the
        service was set up to demand them. With `claim_ids` each message must be under one
        of those claims; the others are left, and reported after the rest was deleted.

        Raises: InvalidRequest, DeleteUnderLostClaim, DeleteUnderOthersClaim.
        """
        check_count("ids", len(message_ids), self._limits.max_messages_per_page)
        if self._delete_with_claim_id and not claim_ids:
            raise InvalidRequest("claim_ids is required together with ids.")
        refused = await self._storage.messages.delete(
            project,
            queue,
            _parse_ids(message_ids, ids.queue_tag(project, queue)),
            claim_ids=claim_ids or None,
            now_ms=self._clock.now_ms(),
        )
        for seq, reason in refused.items():
            message_id = ids.message_id(seq, ids.queue_tag(project, queue))
            raise _refusal(reason, message_id, ", ".join(claim_ids or ()))

    async def pop(self, project: str, queue: str, *, limit: int) -> Snapshot:
        """Remove and return the oldest ready messages.

        Raises: InvalidRequest for a limit out of range; StorageUnavailable when the oldest
        one is encrypted and this server has no key: it stays.
        """
        check_count("pop", limit, self._limits.max_messages_per_claim_or_pop)
        now_ms = self._clock.now_ms()

        async def step(policy: QueuePolicy) -> Sequence[Message]:
            if policy.version is None:
                return ()
            return await self._storage.messages.pop(project, queue, limit=limit, now_ms=now_ms)

        popped = await self._policies.apply(project, queue, step)
        return Snapshot(popped, ids.queue_tag(project, queue), now_ms)


def _parse_ids(message_ids: Sequence[str], tag: str) -> list[int]:
    """Return the sequences of the well-formed ids, each once, in order."""
    seqs = (ids.parse_message_id(text, tag) for text in message_ids)
    return list(dict.fromkeys(seq for seq in seqs if seq is not None))


def _refusal(reason: Refusal, message_id: str, claim_id: str | None) -> NuskuError:
    if claim_id is None:
        return MessageClaimed(f"Message {message_id} is claimed; give the id of its claim.")
    if reason is Refusal.CLAIMED:
        return DeleteUnderOthersClaim(
            f"Message {message_id} is under another claim; claim {claim_id} does not hold it."
        )
    return DeleteUnderLostClaim(f"Message {message_id} is not under claim {claim_id}.")
