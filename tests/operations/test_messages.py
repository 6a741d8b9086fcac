"""Rules of posting and deleting messages."""

from __future__ import annotations

from typing import Any

import pytest

from queues.errors import (
    DeleteUnderLostClaim,
    DeleteUnderOthersClaim,
    IdempotencyKeyReused,
    InvalidRequest,
    MessageClaimed,
    MessageNotFound,
)
from queues.limits import Limits
from queues.operations import Operations
from queues.operations.messages import Draft, MessageQuery
from tests.clock import MovableClock
from tests.operations.calls import PROJECT, QUEUE, claim, draft, everything, patch, post
from tests.transport.faults import FaultyStorage


async def times(operations: Operations) -> list[tuple[int, int]]:
    """Return ttl and seconds of delay left of every message."""
    found = await everything(operations)
    return [
        (message.ttl_s, max(0, message.visible_ms - found.now_ms) // 1000)
        for message in found.messages
    ]


# metadata of the queue, the draft -> ttl and delay of the message
DEFAULTS = {
    "the server's": ({}, draft(), (1000, 20)),
    "the queue's": (
        {"_default_message_ttl": 500, "_default_message_delay": 30},
        draft(),
        (500, 30),
    ),
    "the message's own": (
        {"_default_message_ttl": 500, "_default_message_delay": 30},
        draft(ttl_s=60, delay_s=10),
        (60, 10),
    ),
    "no delay at all": ({"_default_message_delay": 30}, draft(delay_s=0), (1000, 0)),
    "a delay on a queue without one": ({}, draft(delay_s=900), (1000, 900)),
    "a queue that unset them": (
        {"_default_message_ttl": None, "_default_message_delay": None},
        draft(),
        (1000, 20),
    ),
}


@pytest.mark.parametrize("row", DEFAULTS.values(), ids=DEFAULTS)
async def test_ttl_and_delay_come_from_the_message_the_queue_or_the_server(
    storage: FaultyStorage,
    clock: MovableClock,
    row: tuple[dict[str, Any], Draft, tuple[int, int]],
) -> None:
    metadata, message, expected = row
    limits = Limits(default_message_ttl_s=1000, default_message_delay_s=20)
    operations = Operations(storage, limits, clock)
    await operations.queues.create(PROJECT, QUEUE, metadata)
    await post(operations, message)
    assert await times(operations) == [expected]


async def test_each_message_of_a_post_has_its_own_ttl_and_delay(
    operations: Operations,
) -> None:
    wanted = [(60, 0), (60, 1), (61, 1), (61, 1), (60, 1), (60, 0)]
    await post(operations, *[draft(ttl_s=ttl_s, delay_s=delay_s) for ttl_s, delay_s in wanted])
    assert await times(operations) == wanted
    with pytest.raises(InvalidRequest, match=r"messages\[2\].ttl must be between"):
        await post(operations, draft(ttl_s=60), draft(ttl_s=60), draft(ttl_s=59))


OUTLASTING = {
    "equal": (draft(ttl_s=60, delay_s=60), {}),
    "longer": (draft(ttl_s=60, delay_s=61), {}),
    "the queue's delay": (draft(ttl_s=60), {"_default_message_delay": 60}),
    "the queue's ttl": (draft(delay_s=60), {"_default_message_ttl": 60}),
    "both of the queue": (
        draft(),
        {"_default_message_delay": 100, "_default_message_ttl": 60},
    ),
}


@pytest.mark.parametrize(("message", "metadata"), OUTLASTING.values(), ids=OUTLASTING)
async def test_a_delay_that_outlasts_the_ttl_is_refused_wherever_they_come_from(
    operations: Operations, message: Draft, metadata: dict[str, int]
) -> None:
    await operations.queues.create(PROJECT, QUEUE, metadata)
    with pytest.raises(InvalidRequest, match=r"messages\[1\]: a delay of .* outlasts"):
        await post(operations, draft(ttl_s=900, delay_s=1), message)
    assert await times(operations) == []


async def test_one_second_less_is_fine(operations: Operations, clock: MovableClock) -> None:
    await post(operations, draft(ttl_s=60, delay_s=59))
    clock.advance(s=59)
    taken = await claim(operations)
    assert taken is not None


async def test_a_repeat_with_a_key_answers_the_same_from_another_process(
    operations: Operations, elsewhere: Operations
) -> None:
    ids = await post(operations, draft(b"1"), draft(b"2"), key="k")
    assert await post(elsewhere, draft(b"1"), draft(b"2"), key="k") == ids
    with pytest.raises(IdempotencyKeyReused):
        await post(elsewhere, draft(b"1"), draft(b"3"), key="k")
    assert len((await everything(operations)).messages) == 2


async def test_a_repeat_is_recognised_although_the_defaults_changed(
    operations: Operations,
) -> None:
    ids = await post(operations, key="k")
    await patch(operations, "_default_message_ttl", 60)
    assert await post(operations, key="k") == ids
    assert await times(operations) == [(3600, 0)]


async def test_a_delete_tells_a_claimed_message_from_a_lost_claim(
    operations: Operations, clock: MovableClock
) -> None:
    (message_id,) = await post(operations)
    taken = await claim(operations)
    assert taken is not None

    async def delete(claim_id: str | None) -> None:
        await operations.messages.delete(PROJECT, QUEUE, message_id, claim_id=claim_id)

    with pytest.raises(MessageClaimed):
        await delete(None)
    with pytest.raises(DeleteUnderOthersClaim):
        await delete("f" * 24)
    clock.advance(s=300)
    with pytest.raises(DeleteUnderLostClaim):
        await delete(taken.claim.id)
    await delete(None)
    await delete(taken.claim.id)


async def test_ids_of_another_queue_are_unknown(operations: Operations) -> None:
    (message_id,) = await post(operations)
    stray = message_id[:14] + "00000000"
    query = MessageQuery(stray, 10, echo=True, include_claimed=True, include_delayed=True)
    page = await operations.messages.list(PROJECT, QUEUE, query, client_id="")
    assert (page.messages, page.next_seq) == ((), None)
    with pytest.raises(MessageNotFound):
        await operations.messages.get_many(PROJECT, QUEUE, [stray])
    await operations.messages.delete(PROJECT, QUEUE, stray, claim_id=None)
    await operations.messages.delete_many(PROJECT, QUEUE, [stray], claim_ids=None)
    assert len((await everything(operations)).messages) == 1
