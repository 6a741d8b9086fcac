"""Taking ready messages, lowest sequences first, each by an update on its exact state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import NamedTuple

from pymongo import ASCENDING, DESCENDING, UpdateOne

from queues.errors import MessageSealed
from queues.model import DeadLetterPolicy, Media, Message
from queues.storage import DEAD_LETTERS_PER_CLAIM
from storage_drivers.mongodb import codec, dead_letters
from storage_drivers.mongodb.layout import Database, Document, message_ids, new_token

#: Rounds in which a call tries to take what others took first.
_ROUNDS = 20

#: A call that meets due or expired messages tidies away so many of each.
_TIDIED_PER_CALL = 1000

#: A popped message that a crash kept from its caller is ready again after this.
_POP_LEASE_MS = 60_000


#: The update that makes a delayed or leased message ready.
READY: Document = {
    "$set": {"visible": 0, "claim": ""},
    "$unset": {"lease": "", "leased": ""},
}


class Lease(NamedTuple):
    """What a claim does to a message."""

    claim_id: str
    lease_ms: int
    grace_ms: int
    now_ms: int

    @property
    def until_ms(self) -> int:
        """Return the end of the lease."""
        return self.now_ms + self.lease_ms

    def changes(self) -> Document:
        """Return the fields of a lease that begins now."""
        return {"visible": self.until_ms, "lease": self.lease_ms, "leased": self.now_ms}

    def extension(self) -> Document:
        """Return the fields of a message that would expire before the lease ends."""
        return {
            "ttl": (self.lease_ms + self.grace_ms) // 1000,
            "expires": self.until_ms + self.grace_ms,
        }


class Source(NamedTuple):
    """The queue to take from."""

    project: str
    queue: str
    bucket: str


class Taken(NamedTuple):
    """A document as it was, and as it is now."""

    before: Document
    after: Document


async def take(
    db: Database, source: Source, limit: int, lease: Lease, policy: DeadLetterPolicy | None
) -> list[Taken]:
    """Lease up to `limit` ready messages and move the exhausted ones that are met."""

    def leased(doc: Document) -> Document:
        extended = lease.extension() if doc["expires"] < lease.until_ms else {}
        count = doc["count"] + 1
        return lease.changes() | extended | {"claim": lease.claim_id, "count": count}

    taken: list[Taken] = []
    moves_left, spare = DEAD_LETTERS_PER_CLAIM, 0
    for _ in range(_ROUNDS):
        want = limit - len(taken)
        asked = want + spare
        docs = await _candidates(db, source.bucket, asked, lease.now_ms)
        ready, exhausted = _split(docs, want, moves_left, policy)
        won = await _seize(db, ready, lease.claim_id, leased)
        taken += won
        if policy and exhausted:
            await dead_letters.move(
                db, source.project, source.queue, exhausted, policy, lease.now_ms
            )
            moves_left -= len(exhausted)
            spare = moves_left
        seen_all = len(docs) < asked and len(won) == len(ready)
        if len(taken) == limit or not moves_left or seen_all:
            break
    return taken


async def hold(db: Database, bucket: str, seqs: Sequence[int], lease: Lease) -> list[Taken]:
    """Lease those of `seqs` that are ready, without counting it as a claim."""
    ready = {
        "_id": {"$in": message_ids(bucket, seqs)},
        "b": bucket,
        "visible": {"$lte": lease.now_ms},
        "expires": {"$gt": lease.now_ms},
    }
    docs = await db.latest(db.messages).find(ready).to_list(None)
    held = lease.changes() | {"claim": lease.claim_id}
    return await _seize(db, docs, lease.claim_id, lambda _: held)


def _split(
    docs: Sequence[Document], want: int, moves_left: int, policy: DeadLetterPolicy | None
) -> tuple[list[Document], list[Document]]:
    """Tell messages to lease from messages to move, in order, until there are enough."""
    ready: list[Document] = []
    exhausted: list[Document] = []
    for doc in docs:
        if len(ready) == want or len(exhausted) == moves_left:
            break
        spent = policy is not None and doc["count"] >= policy.max_claims
        (exhausted if spent else ready).append(doc)
    return ready, exhausted


async def undo(db: Database, taken: Sequence[Taken]) -> None:
    """Make leased messages what they were, unless somebody changed them since."""
    if not taken:
        return
    fields = ("visible", "claim", "count", "expires", "ttl")
    await db.messages.bulk_write(
        [
            UpdateOne(
                {key: after[key] for key in ("_id", "b", "claim", "count")},
                {"$set": {key: before[key] for key in fields}},
            )
            for before, after in taken
        ],
        ordered=False,
    )


async def pop(db: Database, bucket: str, limit: int, now_ms: int) -> list[Message]:
    """Remove and return ready messages: leased first, so that no two calls get the same.

    A crash between the two steps loses nothing: the lease ends.

    Raises: MessageSealed when the first one is encrypted; later ones only end the pop.
    """
    holder = f"pop:{new_token()}"
    held = {"claim": holder, "visible": now_ms + _POP_LEASE_MS}
    popped: list[Document] = []
    for _ in range(_ROUNDS):
        docs = await _candidates(db, bucket, limit - len(popped), now_ms)
        plain = list(takewhile(lambda doc: doc["media"] != Media.SEALED, docs))
        if docs and not plain and not popped:
            raise MessageSealed("the next message is encrypted")
        won = await _seize(db, plain, holder, lambda _: held)
        popped += [taken.before for taken in won]
        if len(popped) == limit or len(won) == len(plain):
            break
    if popped:
        ids = [doc["_id"] for doc in popped]
        await db.messages.delete_many({"_id": {"$in": ids}, "b": bucket, "claim": holder})
    return [codec.message(doc, now_ms) for doc in popped]


async def _seize(
    db: Database,
    docs: Sequence[Document],
    holder: str,
    changes: Callable[[Document], Document],
) -> list[Taken]:
    """Change each document unless its state has changed; return those that were won.

    `count` goes up with every claim, so `visible` 0 and `count` tell a state apart from
    all earlier and later ones with another expiry.
    """
    if not docs:
        return []
    pairs = [Taken(doc, doc | changes(doc)) for doc in docs]
    result = await db.messages.bulk_write(
        [
            UpdateOne(
                {key: before[key] for key in ("_id", "b", "visible", "count")},
                {"$set": changes(before)},
            )
            for before, _ in pairs
        ],
        ordered=False,
    )
    if result.matched_count == len(pairs):
        return pairs
    ids = [doc["_id"] for doc in docs]
    mine = db.latest(db.messages).find(
        {"_id": {"$in": ids}, "b": docs[0]["b"], "claim": holder}, {"_id": 1}
    )
    won = {doc["_id"] for doc in await mine.to_list(None)}
    return [pair for pair in pairs if pair.before["_id"] in won]


async def _candidates(db: Database, bucket: str, limit: int, now_ms: int) -> list[Document]:
    """Return ready messages by sequence.

    The index gives due messages before the ready ones. When there are any, or expired ones,
    they are tidied away first, so that every call pays for a message at most once.

    PERF: reads the latest state, not that of a majority, or rivals would be given what is
    taken already. It is safe: who takes a message by its exact state, and has that from a
    majority, has the message from a majority.
    """
    messages = db.latest(db.messages)
    found = messages.find({"b": bucket, "visible": {"$lte": now_ms}})
    order = [("visible", DESCENDING), ("seq", ASCENDING)]
    docs: list[Document] = await found.sort(order).limit(limit).to_list(None)
    if all(doc["visible"] == 0 and doc["expires"] > now_ms for doc in docs):
        return docs
    await _tidy(db, bucket, now_ms)
    found = messages.find({"b": bucket, "visible": 0, "expires": {"$gt": now_ms}})
    ready: list[Document] = await found.sort("seq", ASCENDING).limit(limit).to_list(None)
    return ready


async def _tidy(db: Database, bucket: str, now_ms: int) -> None:
    await reap(db, {"b": bucket}, _TIDIED_PER_CALL, now_ms)
    await promote(db, {"b": bucket}, _TIDIED_PER_CALL, now_ms)


async def reap(db: Database, where: Document, limit: int, now_ms: int) -> int:
    """Remove expired messages, the oldest first; return how many."""
    expired = where | {"expires": {"$lte": now_ms}}
    ids = await _ids(db, expired, "expires", limit)
    if not ids:
        return 0
    removed = await db.messages.delete_many({"_id": {"$in": ids}, "expires": {"$lte": now_ms}})
    return int(removed.deleted_count)


async def promote(db: Database, where: Document, limit: int, now_ms: int) -> int:
    """Make messages ready whose delay or lease has ended; return how many."""
    due = where | {"visible": {"$gt": 0, "$lte": now_ms}}
    ids = await _ids(db, due, "visible", limit)
    if not ids:
        return 0
    promoted = await db.messages.update_many(due | {"_id": {"$in": ids}}, READY)
    return int(promoted.modified_count)


async def _ids(db: Database, where: Document, first: str, limit: int) -> list[str]:
    found = db.messages.find(where, {"_id": 1}).sort(first, ASCENDING).limit(limit)
    return [doc["_id"] for doc in await found.to_list(None)]
