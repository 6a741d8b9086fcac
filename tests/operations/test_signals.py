"""Wait handles: made, signalled, waited for, listed and cancelled, in two processes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from queues.errors import (
    Forbidden,
    InvalidRequest,
    SignalExists,
    SignalLate,
    SignalNotFound,
    SignatureRefused,
    StorageUnavailable,
)
from queues.identity import Grant, Identity
from queues.operations.notifying import Notifying
from queues.signals import Outcome, Signal, State, Status, Target
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
    url_identity,
)

RETENTION_S = 604_800


# -- making ---------------------------------------------------------------------------------


async def test_a_handle_is_made_once_and_found_again(here: Process, there: Process) -> None:
    made = await here.put(2, data={"stack": 1})
    assert made.is_new
    again = await there.put(2, data={"stack": 1})
    assert (again.is_new, again.handle, again.url) == (False, made.handle, made.url)


async def test_of_concurrent_makers_one_makes_it(here: Process, there: Process) -> None:
    made = await asyncio.gather(*(process.put() for process in (here, there) * 5))
    assert [one.is_new for one in made].count(True) == 1
    assert len({one.handle.incarnation for one in made}) == 1


@pytest.mark.parametrize(
    "other",
    [{"count": 2}, {"timeout_s": 61}, {"heartbeat_s": 5}, {"data": 1}, {"notify": TO_QUEUE}],
)
async def test_other_terms_under_the_same_name_are_refused(
    here: Process, other: dict[str, Any]
) -> None:
    made = await here.put()
    with pytest.raises(SignalExists):
        await here.put(**other)
    assert await here.handle() == made.handle


async def test_a_repeated_put_shows_how_the_wait_went(here: Process) -> None:
    await here.put()
    await here.send(success("a"))
    assert (await here.put()).handle.state is State.SUCCESS


@pytest.mark.parametrize(
    ("rule", "terms"),
    [
        ("signals:signal", {}),
        ("messages:create", {"notify": TO_QUEUE}),
        ("subscription:create", {"notify": TO_WEBHOOK}),
    ],
)
async def test_nobody_hands_on_what_they_may_not_do(
    world: World, clock: MovableClock, rule: str, terms: dict[str, Any]
) -> None:
    process = Process(ReferenceStorage(world), clock, {rule: "!"})
    with pytest.raises(Forbidden, match=rule):
        await process.put(**terms)
    with pytest.raises(SignalNotFound):
        await process.show()


async def test_the_queue_that_is_told_lies_within_the_grant_of_the_maker(
    here: Process, clock: MovableClock
) -> None:
    rules = frozenset({"signals:create", "signals:signal", "messages:create"})
    maker = Identity(PROJECT, grant=Grant(("t",), rules, ("bo*",), clock.now_ms() + 9_000))
    with pytest.raises(Forbidden):
        await here.put(maker=maker, notify=TO_QUEUE)
    await here.put(maker=maker, notify=Target("bored"))


async def test_no_webhook_is_called_where_receivers_are_asked_before(
    world: World, clock: MovableClock
) -> None:
    asking = Process(ReferenceStorage(world), clock, notifying=Notifying(confirmation=True))
    with pytest.raises(InvalidRequest, match=r"notify\.webhook"):
        await asking.put(notify=TO_WEBHOOK)
    await asking.put(notify=TO_QUEUE)


async def test_a_url_outlives_neither_its_handle_nor_the_token_of_its_maker(
    here: Process, clock: MovableClock
) -> None:
    made = await here.put(timeout_s=60)
    assert made.handle.url_expires_ms == clock.now_ms() + (60 + RETENTION_S) * 1000
    rules = frozenset({"signals:create", "signals:signal"})
    token = Grant(("t",), rules, ("*",), expires_ms=clock.now_ms() + 5_000)
    short = await here.put(name="short", maker=Identity(PROJECT, grant=token))
    assert short.handle.url_expires_ms == clock.now_ms() + 5_000


# -- signals --------------------------------------------------------------------------------


async def test_what_senders_say_is_there_by_their_id(here: Process, there: Process) -> None:
    await here.put(2)
    first = await here.send(success("a", {"ip": 1}))
    assert (first.id, first.outcome, first.handle.state) == (
        "a",
        Outcome.ACCEPTED,
        State.IN_PROGRESS,
    )
    last = await there.send(success("ä/ö", [2]))
    assert last.handle.state is State.SUCCESS
    assert await here.said() == {"a": {"ip": 1}, "ä/ö": [2]}


async def test_a_repeated_signal_counts_once_and_the_first_data_stay(
    here: Process, there: Process
) -> None:
    await here.put(2)
    await here.send(success("a", 1))
    again = await there.send(success("a", 2))
    assert (again.outcome, len(again.handle.senders)) == (Outcome.REPEATED, 1)
    assert await here.said() == {"a": 1}


async def test_a_repeated_signal_is_acknowledged_also_after_the_end(here: Process) -> None:
    await here.put()
    await here.send(success("a"))
    assert (await here.send(success("a"))).outcome is Outcome.REPEATED
    await here.put(name="other")
    await here.send(failure("a"), name="other")
    assert (await here.send(failure("a"), name="other")).outcome is Outcome.REPEATED


async def test_a_failure_ends_the_wait_at_once_and_its_data_are_there(here: Process) -> None:
    await here.put(3)
    await here.send(success("a", 1))
    ended = await here.send(failure("b", "disk full", {"log": "…"}))
    assert (ended.handle.state, ended.handle.reason) == (State.FAILURE, "disk full")
    assert await here.said() == {"a": 1, "b": {"log": "…"}}


async def test_a_failure_takes_the_place_of_what_its_sender_said_before(here: Process) -> None:
    await here.put(3)
    await here.send(success("a", "fine"))
    await here.send(failure("a", "not fine", "log"))
    shown = await here.show()
    assert shown.handle.state is State.FAILURE
    assert shown.said.by_id["a"][:3] == (Status.FAILURE, "not fine", "log")


async def test_a_late_signal_changes_nothing(here: Process) -> None:
    await here.put()
    await here.send(success("a"))
    before, kept = await here.show(), await here.data_records()
    for late in (success("b", 1), failure("b"), success(None), Signal(Status.IN_PROGRESS)):
        with pytest.raises(SignalLate, match="success"):
            await here.send(late)
    assert (await here.show(), await here.data_records()) == (before, kept)


async def test_a_signal_to_nobody_is_not_found(here: Process) -> None:
    with pytest.raises(SignalNotFound):
        await here.send(success("a"))


async def test_senders_without_an_id_are_numbered(here: Process, there: Process) -> None:
    await here.put(5)
    assert (await here.send(success(None, "x"))).id == "1"
    assert (await there.send(success("3"))).id == "3"
    assert (await here.send(success(None))).id == "4"  # they are the third, but 3 is taken
    ids = [r.id for r in await here.send_all(success(None), success(None))]  # type: ignore[union-attr]
    assert sorted(await here.said()) == ["1", "3", "4", *sorted(ids)]  # type: ignore[type-var]
    assert (await here.handle()).state is State.SUCCESS


async def test_progress_is_kept_and_puts_silence_off(
    here: Process, there: Process, clock: MovableClock
) -> None:
    await here.put(1, 60, heartbeat_s=10)
    clock.advance(s=9)
    await there.send(Signal(Status.IN_PROGRESS, "installing", "a", 40))
    clock.advance(s=9)
    handle = await here.handle()
    assert handle.state is State.IN_PROGRESS
    assert handle.progress is not None
    assert handle.progress[:3] == ("a", "installing", 40)
    clock.advance(s=1)
    assert (await here.handle()).state is State.TIMEOUT
    assert await here.data_records() == []


@pytest.mark.parametrize("ids", ["named", "numbered"])
async def test_a_thousand_senders_at_once_all_count_and_none_starves(
    here: Process, there: Process, ids: str
) -> None:
    await here.put(1000)
    changes = 0

    async def count(name: str) -> None:
        nonlocal changes
        changes += name == "records.replace"

    here.storage.before = there.storage.before = count
    sent = [success(str(n) if ids == "named" else None, n) for n in range(1000)]
    receipts = await asyncio.gather(here.send_all(*sent[:500]), there.send_all(*sent[500:]))
    assert {receipt.outcome for half in receipts for receipt in half} == {Outcome.ACCEPTED}  # type: ignore[union-attr]
    handle = await here.handle()
    assert (handle.state, len(set(handle.senders))) == (State.SUCCESS, 1000)
    assert changes < 50


async def test_two_that_claim_to_be_the_same_count_once(here: Process, there: Process) -> None:
    await here.put(5)
    calls = [process.send(success("a", n)) for n, process in enumerate((here, there) * 10)]
    receipts = await asyncio.gather(*calls)
    assert {len(receipt.handle.senders) for receipt in receipts} == {1}
    assert len(await here.data_records()) == 1


async def test_a_sender_who_gives_up_stops_nobody_else(here: Process) -> None:
    await here.put(2)
    sending = [asyncio.create_task(here.send(success(sender))) for sender in ("a", "b")]
    await asyncio.sleep(0)
    sending[0].cancel()
    assert (await sending[1]).outcome is Outcome.ACCEPTED
    assert (await here.handle()).senders[-1] == "b"


async def test_all_who_send_together_learn_that_the_store_is_away(here: Process) -> None:
    await here.put(3)
    here.storage.fail(StorageUnavailable("gone"))
    for answer in await here.send_all(success("a"), success("b")):
        assert isinstance(answer, StorageUnavailable)
    here.storage.recover()
    assert (await here.send(success("a"))).outcome is Outcome.ACCEPTED


# -- its URL --------------------------------------------------------------------------------


async def test_the_url_of_a_handle_does_not_open_its_successor(here: Process) -> None:
    old = url_identity(await here.put())
    await here.operations.signals.cancel(PROJECT, NAME)
    with pytest.raises(SignatureRefused):
        await here.send(success("a"), sender=old)
    new = url_identity(await here.put())
    with pytest.raises(SignatureRefused):
        await here.send(success("a"), sender=old)
    assert (await here.handle()).senders == ()
    assert (await here.send(success("a"), sender=new)).outcome is Outcome.ACCEPTED


async def test_a_wrong_url_does_not_spoil_the_signals_that_come_with_it(here: Process) -> None:
    await here.put(2)
    wrong = Identity(PROJECT, grant=Grant(("x",), frozenset(), (), 0, vouched=True))
    answers = await asyncio.gather(
        here.send(success("a"), sender=wrong), here.send(success("b")), return_exceptions=True
    )
    assert isinstance(answers[0], SignatureRefused)
    assert (await here.handle()).senders == ("b",)


# -- listing and cancelling -----------------------------------------------------------------


async def test_handles_are_listed_by_name_and_filtered(
    here: Process, clock: MovableClock
) -> None:
    for name in ("b1", "a2", "a1", "c"):
        await here.put(name=name)
    await here.send(success("x"), name="a1")
    assert await here.names() == (["a1", "a2", "b1", "c"], None)
    assert await here.names(prefix="a") == (["a1", "a2"], None)
    assert await here.names(state=State.SUCCESS) == (["a1"], None)
    assert await here.names(limit=2) == (["a1", "a2"], "a2")
    assert await here.names(limit=2, marker="a2") == (["b1", "c"], "c")
    covered = Grant(("t",), frozenset(), ("b*", "c"), 0)
    assert await here.names(grant=covered) == (["b1", "c"], None)
    clock.advance(s=60)
    assert await here.names(state=State.IN_PROGRESS) == ([], None)
    assert await here.names(state=State.TIMEOUT) == (["a2", "b1", "c"], None)


async def test_a_filter_that_fits_few_reads_a_bounded_number_at_a_time(here: Process) -> None:
    for number in range(1100):
        await here.put(name=f"n{number:04}")
    await here.send(success("x"), name="n1099")
    found, marker = await here.names(state=State.SUCCESS)
    assert (found, marker) == ([], "n0999")
    assert await here.names(state=State.SUCCESS, marker="n0999") == (["n1099"], None)


async def test_the_data_of_many_senders_come_page_by_page(here: Process) -> None:
    await here.put(10)
    for number in range(10):
        await here.send(success(f"n{number}"))
    seen: list[str] = []
    marker: str | None = ""
    while marker is not None:
        said = (await here.show(marker=marker, limit=4)).said
        seen += said.by_id
        marker = said.marker
    assert seen == [f"n{number}" for number in range(10)]


@pytest.mark.parametrize("limit", [0, 101])
async def test_a_page_has_a_limit(here: Process, limit: int) -> None:
    await here.put()
    with pytest.raises(InvalidRequest, match="limit"):
        await here.show(limit=limit)
    with pytest.raises(InvalidRequest, match="limit"):
        await here.names(limit=limit)


async def test_what_is_cancelled_is_gone_with_all_that_was_said(here: Process) -> None:
    await here.put(1000)
    await here.send_all(*(success(str(n), n) for n in range(250)))
    assert await here.operations.signals.cancel(PROJECT, NAME)
    assert await here.data_records() == []
    with pytest.raises(SignalNotFound):
        await here.show()
    assert not await here.operations.signals.cancel(PROJECT, NAME)


async def test_a_handle_made_again_knows_nothing_of_its_former_life(here: Process) -> None:
    await here.put(2)
    await here.send(success("a", "old"))

    async def crash(name: str) -> None:
        if name == "records.list":
            raise StorageUnavailable("killed before the data were removed")

    here.storage.before = crash
    with pytest.raises(StorageUnavailable):
        await here.operations.signals.cancel(PROJECT, NAME)
    here.storage.recover()
    await here.put(2)
    assert await here.said() == {}
    await here.send(success("a", "new"))
    assert await here.said() == {"a": "new"}
