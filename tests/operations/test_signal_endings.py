"""What happens to wait handles by itself: the deadline, and telling somebody of the end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from queues import signals, webhook_signatures
from queues.errors import SignalLate, StorageUnavailable
from queues.model import Media
from queues.operations.agenda import LEASE_MS
from queues.operations.courier import Parcel
from queues.operations.messages import MessageQuery
from queues.operations.notifying import Notifying
from queues.patch import Change
from queues.retries import Outcome
from queues.signals import State
from tests.clock import MovableClock
from tests.conformance.reference import ReferenceStorage
from tests.conformance.world import World
from tests.operations.signal_process import (
    NAME,
    PROJECT,
    TO_QUEUE,
    TO_WEBHOOK,
    Process,
    failure,
    success,
)


async def told(process: Process, queue: str = "done") -> list[Any]:
    """Return what the queue was told."""
    query = MessageQuery("", 20, echo=True, include_claimed=True, include_delayed=True)
    listed = await process.operations.messages.list(PROJECT, queue, query, client_id="c")
    assert {message.media for message in listed.messages} <= {Media.JSON}
    return [json.loads(message.body) for message in listed.messages]


async def test_the_deadline_ends_a_wait_that_nobody_reads(
    here: Process, clock: MovableClock
) -> None:
    await here.put(1, 60, notify=TO_QUEUE)
    clock.advance(s=60, ms=-1)
    assert await here.attend() == 0
    clock.advance(ms=1)
    await here.attend_all()
    (body,) = await told(here)
    assert (body["signal"], body["state"]) == (NAME, "timeout")


async def test_silence_ends_a_wait_that_nobody_reads(
    here: Process, clock: MovableClock
) -> None:
    await here.put(1, 60, heartbeat_s=10)
    clock.advance(s=10)
    assert await here.attend() == 1
    assert (await here.handle()).ended_ms == clock.now_ms()


async def test_a_queue_is_told_of_the_end_once(here: Process, there: Process) -> None:
    await here.put(2, data={"stack": 7}, notify=TO_QUEUE)
    await here.send(success("a"))
    await there.send(failure("b", "no"))
    assert await told(here) == []
    await here.attend_all()
    await there.attend_all()
    assert await told(here) == [
        {
            "signal": NAME,
            "state": "failure",
            "reason": "no",
            "count": 2,
            "received": 1,
            "data": {"stack": 7},
        }
    ]


async def test_the_end_rings_the_agenda_if_there_is_somebody_to_tell(here: Process) -> None:
    bell = here.operations.agenda._bell  # noqa: SLF001
    await here.put(1)
    await here.send(success("a"))
    assert not bell.is_set()
    await here.put(1, name="told", notify=TO_QUEUE)
    await here.send(success("a"), name="told")
    assert bell.is_set()


async def test_nobody_is_told_of_an_end_that_is_not_stored(
    here: Process, there: Process, clock: MovableClock
) -> None:
    """A server whose clock is ahead finds the wait over, while the last signal comes in."""
    await here.put(1, 60, notify=TO_QUEUE)
    behind = Process(here.storage, MovableClock())
    clock.advance(s=60)

    async def overtaken(name: str) -> None:
        if name == "records.replace":
            here.storage.recover()
            await behind.send(success("a"))

    here.storage.before = overtaken
    await here.attend_all()
    assert [body["state"] for body in await told(here)] == ["success"]


async def test_a_queue_that_cannot_be_told_is_told_later(
    here: Process, clock: MovableClock
) -> None:
    await here.operations.queues.create(PROJECT, "done", {"_max_messages_post_size": 10})
    await here.put(1, notify=TO_QUEUE)
    await here.send(success("a"))
    assert await here.attend() == 1
    assert await here.attend() == 0
    wider = [Change("replace", "_max_messages_post_size", 1000)]
    await here.operations.queues.update(PROJECT, "done", wider)
    clock.advance(s=2)
    await here.attend_all()
    assert len(await told(here)) == 1


async def test_whoever_dies_before_saying_that_it_was_told_makes_no_second_message(
    here: Process, there: Process, clock: MovableClock
) -> None:
    await here.put(1, notify=TO_QUEUE)
    await here.send(success("a"))

    async def die(name: str) -> None:
        if name == "messages.post":
            raise StorageUnavailable("killed")

    here.storage.after = die
    with pytest.raises(StorageUnavailable):
        await here.attend()
    assert len(await told(there)) == 1
    clock.advance(ms=LEASE_MS)
    assert await there.attend() == 1
    assert len(await told(there)) == 1
    assert (await there.handle()).told


async def test_the_end_is_put_into_the_outbox_for_a_webhook_once(
    here: Process, there: Process, clock: MovableClock
) -> None:
    made = await here.put(1, 60, data=[7], notify=TO_WEBHOOK)
    await here.send(success("a"))

    async def die(name: str) -> None:
        if name == "records.create":
            raise StorageUnavailable("killed")

    here.storage.after = die
    with pytest.raises(StorageUnavailable):
        await here.attend()
    clock.advance(ms=LEASE_MS)
    assert await there.attend() == 1
    (delivery,) = await there.notices()
    assert delivery.notice == signals.summary(NAME, await there.handle())
    assert delivery.to == {
        "subscriber": "https://example.org/hook",
        "options": {},
        "secrets": [made.handle.secret],
    }


class _Receiver:
    """A webhook: keeps what it is sent."""

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []

    async def send(self, parcel: Parcel) -> Outcome:
        self.parcels.append(parcel)
        return Outcome(status=200)


async def test_a_webhook_gets_the_end_signed_with_the_secret_of_the_handle(
    world: World, clock: MovableClock
) -> None:
    receiver = _Receiver()
    process = Process(ReferenceStorage(world), clock, notifying=Notifying(receiver))
    agenda = process.operations.agenda
    running = asyncio.create_task(agenda.run())
    made = await process.put(1, notify=TO_WEBHOOK)
    await process.send(failure("a", "no"))
    async with asyncio.timeout(10):
        while not receiver.parcels:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    agenda.close()
    await running
    (parcel,) = receiver.parcels
    assert parcel.to.url == "https://example.org/hook"
    assert json.loads(parcel.letter.body)["state"] == "failure"
    head, secret = parcel.letter.headers, made.handle.secret
    assert secret is not None
    given = (head["webhook-id"], int(head["webhook-timestamp"]), parcel.letter.body)
    signed = webhook_signatures.headers([secret], *given)
    assert head["webhook-signature"] == signed["webhook-signature"]


async def test_a_handle_that_was_cancelled_tells_nobody(
    here: Process, clock: MovableClock
) -> None:
    await here.put(1, 60, notify=TO_QUEUE)
    await here.operations.signals.cancel(PROJECT, NAME)
    clock.advance(s=60)
    assert await here.attend() == 0


async def test_a_handle_under_the_lease_of_an_agenda_still_takes_signals(
    here: Process, clock: MovableClock
) -> None:
    """Taking a record gives it another version, and another time at which it is due."""
    await here.put(2, 60, heartbeat_s=10)
    clock.advance(s=10, ms=-1)
    await here.send(success("a"))
    taken = await here.storage.records.take(
        limit=1, lease_ms=LEASE_MS, now_ms=clock.now_ms() + 10_000
    )
    assert len(taken) == 1
    await here.send(success("b"))
    assert (await here.handle()).state is State.SUCCESS
    await here.endings.attend(taken[0])
    assert (await here.handle()).state is State.SUCCESS
    with pytest.raises(SignalLate):
        await here.send(success("c"))
