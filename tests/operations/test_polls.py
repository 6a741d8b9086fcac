"""Claims, lists and pops that wait: what they find, and what becomes of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from queues.errors import InvalidRequest, StorageUnavailable
from queues.limits import Limits
from queues.model import Media, NewMessage
from queues.operations import Operations
from queues.operations.claims import ClaimView, Wanted
from queues.operations.messages import MessageQuery, Snapshot
from queues.operations.polls import Patience
from queues.storage import DEAD_LETTERS_PER_CLAIM
from tests.conformance.reference import ReferenceStorage
from tests.conformance.world import World
from tests.operations.calls import CLIENT, PROJECT, QUEUE, claim, draft, everything, post
from tests.operations.hurry import LoopClock, in_no_time, settled
from tests.transport.faults import FaultyStorage

READY = MessageQuery("", 10, echo=False, include_claimed=False, include_delayed=False)


class Trial:
    """Operations in memory, and a client that may go away."""

    def __init__(self) -> None:
        self.storage = FaultyStorage(ReferenceStorage(World()))
        self.operations = Operations(self.storage, Limits(), LoopClock())
        self.is_there = True

    def _patience(self, wait_s: float) -> Patience:
        async def may_take() -> bool:
            return self.is_there

        return Patience(wait_s, may_take)

    def claim(
        self, *, limit: int = 10, key: str | None = None, wait_s: float = 60
    ) -> asyncio.Task[ClaimView | None]:
        wanted = Wanted(None, None, limit, key)
        patience = self._patience(wait_s)
        polls = self.operations.polls
        return asyncio.create_task(polls.claim(PROJECT, QUEUE, wanted, patience))

    def pop(self, limit: int = 1, *, wait_s: float = 60) -> asyncio.Task[Snapshot]:
        polls = self.operations.polls
        return asyncio.create_task(polls.pop(PROJECT, QUEUE, limit, self._patience(wait_s)))

    def list(
        self, query: MessageQuery = READY, *, client_id: str = "other", wait_s: float = 60
    ) -> asyncio.Task[Snapshot]:
        polls, patience = self.operations.polls, self._patience(wait_s)
        listing = polls.list(PROJECT, QUEUE, query, patience, client_id=client_id)
        return asyncio.create_task(listing)

    def leave_after(self, name: str) -> None:
        """Let the client go away when the store has done that."""

        async def after(called: str) -> None:
            self.is_there &= called != name

        self.storage.after = after


def now_s() -> float:
    return asyncio.get_running_loop().time()


@in_no_time
async def test_a_queue_that_does_not_exist_can_be_waited_for() -> None:
    trial = Trial()
    claiming, popping, listing = trial.claim(limit=1), trial.pop(), trial.list()
    await asyncio.sleep(5)
    await post(trial.operations, draft(b"1"), draft(b"2"))
    claimed, popped, listed = (await claiming, await popping, await listing)
    assert claimed is not None
    took = [*claimed.claim.messages, *popped.messages]
    assert {message.body for message in took} == {b"1", b"2"}
    assert len(listed.messages) > 0
    assert now_s() == 5


@in_no_time
async def test_after_the_wait_there_is_nothing() -> None:
    trial = Trial()
    assert await trial.claim(wait_s=3) is None
    assert (await trial.pop(wait_s=3)).messages == ()
    assert (await trial.list(wait_s=3)).messages == ()
    assert now_s() == 9


@in_no_time
async def test_a_list_waits_for_what_it_is_asked_for() -> None:
    trial = Trial()
    own = trial.list(client_id=CLIENT, wait_s=10)
    delayed = trial.list(READY._replace(include_delayed=True))
    await settled()
    (first,) = await post(trial.operations, draft(b"1", delay_s=20))
    assert [message.body for message in (await delayed).messages] == [b"1"]
    assert (await own).messages == ()
    assert now_s() == 10
    later = trial.list(READY._replace(marker=first), wait_s=5)
    assert (await later).messages == ()
    assert [message.body for message in (await trial.list()).messages] == [b"1"]
    assert now_s() == 20


@in_no_time
async def test_a_page_of_hidden_messages_only_is_returned_at_once() -> None:
    trial = Trial()
    page = Snapshot((), "tag", 0, next_seq=7)

    async def list_messages(*args: object, **kwargs: object) -> Snapshot:
        return page

    trial.operations.messages.list = list_messages  # type: ignore[method-assign, assignment]
    assert await trial.list() is page


@in_no_time
async def test_a_claim_for_a_client_that_left_meanwhile_is_released() -> None:
    trial = Trial()
    trial.leave_after("claims.claim")
    await post(trial.operations)
    assert await trial.claim() is None
    await trial.operations.waiting.emptied()
    (message,) = (await everything(trial.operations)).messages
    assert message.claim_id is None


@in_no_time
async def test_a_claim_with_a_key_is_left_to_the_repetition() -> None:
    trial = Trial()
    trial.leave_after("claims.claim")
    await post(trial.operations)
    assert await trial.claim(key="k") is None
    trial.storage.after = None
    trial.is_there = True
    repeated = await trial.claim(key="k")
    assert repeated is not None
    assert len(repeated.claim.messages) == 1
    assert now_s() == 0


@in_no_time
async def test_an_attempt_that_finds_nothing_is_not_remembered() -> None:
    trial = Trial()
    assert await trial.claim(key="k", wait_s=5) is None
    waiting = trial.claim(key="k")
    await asyncio.sleep(5)
    await post(trial.operations)
    first = await waiting
    assert first is not None
    repeated = await trial.claim(key="k")
    assert repeated is not None
    assert repeated.claim.id == first.claim.id
    assert now_s() == 10


@in_no_time
async def test_who_repeats_a_claim_that_has_ended_stands_in_nobodys_way() -> None:
    trial = Trial()
    await post(trial.operations)
    done = await trial.claim(key="k")
    assert done is not None
    seqs = [message.seq for message in done.claim.messages]
    await trial.storage.messages.delete(PROJECT, QUEUE, seqs, claim_ids=None, now_ms=0)
    in_vain, waiting = trial.claim(key="k"), trial.claim()
    await asyncio.sleep(1)
    await post(trial.operations)
    assert await waiting is not None
    assert now_s() == 1
    assert await in_vain is None


@in_no_time
async def test_a_pop_shows_messages_as_they_were_and_removes_them() -> None:
    trial = Trial()
    await post(trial.operations, draft(b"1"), draft(b"2"), draft(b"3"))
    before = (await everything(trial.operations)).messages[:2]
    assert (await trial.pop(2)).messages == list(before)
    assert len((await everything(trial.operations)).messages) == 1


@in_no_time
async def test_a_pop_for_a_client_that_left_meanwhile_removes_nothing() -> None:
    trial = Trial()
    trial.leave_after("claims.claim")
    await post(trial.operations)
    assert (await trial.pop()).messages == ()
    await trial.operations.waiting.emptied()
    (message,) = (await everything(trial.operations)).messages
    assert message.claim_id is None
    trial.is_there, trial.storage.after = True, None
    assert len((await trial.pop()).messages) == 1


@in_no_time
async def test_a_pop_that_cannot_remove_takes_nothing_for_good() -> None:
    trial = Trial()
    await post(trial.operations)

    async def before(name: str) -> None:
        if name == "messages.delete":
            raise StorageUnavailable("away")

    trial.storage.before = before
    with pytest.raises(StorageUnavailable):
        await trial.pop()
    trial.storage.before = None
    assert len((await trial.pop()).messages) == 1
    assert now_s() == 30


async def _post_sealed(trial: Trial, *medias: Media) -> None:
    created, _ = await trial.storage.queues.create(
        PROJECT, QUEUE, metadata=b"{}", version=1, now_ms=0
    )
    await trial.storage.messages.post(
        PROJECT,
        QUEUE,
        [NewMessage(b"1", media, 3600, 0, CLIENT) for media in medias],
        queue_version=created.version,
        idempotency=None,
        now_ms=LoopClock().now_ms(),
    )


@in_no_time
async def test_a_pop_destroys_nothing_that_cannot_be_read_here() -> None:
    trial = Trial()
    await _post_sealed(trial, Media.JSON, Media.SEALED, Media.JSON)
    assert len((await trial.pop(3)).messages) == 1
    with pytest.raises(StorageUnavailable, match="no key"):
        await trial.pop(3)
    left = (await everything(trial.operations)).messages
    assert [(message.media, message.claim_id) for message in left] == [
        (Media.SEALED, None),
        (Media.JSON, None),
    ]


@in_no_time
async def test_a_pop_takes_no_more_than_the_limit_allows() -> None:
    trial = Trial()
    with pytest.raises(InvalidRequest):
        await trial.pop(21)
    with pytest.raises(InvalidRequest):
        await trial.claim(limit=21)


@in_no_time
async def test_claims_without_a_wait_wake_who_waits_for_their_end() -> None:
    trial = Trial()
    trial.operations = Operations(
        trial.storage, replace(Limits(), default_claim_ttl_s=60), LoopClock()
    )
    await post(trial.operations)
    first = await claim(trial.operations)
    assert first is not None
    waiting = trial.claim(wait_s=200)
    await asyncio.sleep(10)
    await trial.operations.claims.renew(
        PROJECT, QUEUE, first.claim.id, ttl_s=100, grace_s=None, idempotency_key=None
    )
    assert await waiting is not None
    assert now_s() == 110


@in_no_time
async def test_a_claim_goes_past_any_number_of_dead_letters_before_it_waits() -> None:
    trial = Trial()
    metadata = {"_dead_letter_queue": "dead", "_max_claim_count": 1}
    await trial.operations.queues.create(PROJECT, QUEUE, metadata)
    await post(trial.operations, *[draft()] * 2 * DEAD_LETTERS_PER_CLAIM)
    views = []
    while view := await claim(trial.operations, limit=20):
        views.append(view)
    for view in views:
        await trial.operations.claims.release(PROJECT, QUEUE, view.claim.id)
    await post(trial.operations, draft(b"alive"))
    found = await trial.claim()
    assert found is not None
    assert now_s() == 0
