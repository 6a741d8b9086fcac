"""From a post to its subscribers: at least once, in order where asked for."""

from __future__ import annotations

import asyncio

from queues.deliveries import State
from queues.operations import Operations
from queues.operations.deliveries import Selection
from queues.retries import Outcome
from tests.clock import MovableClock
from tests.operations.calls import PROJECT, QUEUE, draft, post
from tests.operations.delivering import (
    SOURCE,
    say,
    until_all,
    until_drained,
    until_nothing_is_due,
    until_nothing_new,
    until_pending,
    until_state,
    until_waiting,
)
from tests.operations.receivers import AWAY, OK, Post, settle, working
from tests.operations.subscribing import HOOK, OTHER, move, subscribe


async def test_every_subscriber_hears_of_every_post_once(
    sender: Operations, post_office: Post
) -> None:
    made = await subscribe(sender)
    await subscribe(sender, OTHER)
    async with working(sender):
        await post(sender, draft(b"1"), draft(b"2"))
        await say(sender, 3)
        await post_office.until(HOOK, 3)
        await post_office.until(OTHER, 3)
        await until_state(sender, made, *[State.DELIVERED] * 3)
    assert sorted(post_office.bodies(HOOK)) == sorted(post_office.bodies(OTHER)) == [1, 2, 3]


async def test_only_posts_after_the_subscription_are_notified_of(
    sender: Operations, post_office: Post
) -> None:
    await subscribe(sender, OTHER)
    await say(sender, 1)
    await subscribe(sender)
    await say(sender, 2)
    async with working(sender):
        await post_office.until(HOOK, 1)
        await post_office.until(OTHER, 2)
    assert post_office.bodies(HOOK) == [2]


async def test_any_number_of_processes_share_the_work_and_send_nothing_twice(
    sender: Operations, other_sender: Operations, post_office: Post
) -> None:
    made = await subscribe(sender)
    async with working(sender, other_sender):
        await asyncio.gather(say(sender, *range(50)), say(other_sender, *range(50, 100)))
        await post_office.until(HOOK, 100)
        await until_drained(sender, made)
    assert sorted(post_office.bodies(HOOK)) == list(range(100))


async def test_whoever_is_told_to_stop_leaves_the_rest_to_others_at_once(
    sender: Operations, other_sender: Operations, post_office: Post
) -> None:
    made = await subscribe(sender)
    gate = post_office.hold(HOOK)
    async with working(sender):
        await say(sender, *range(50))
        await post_office.until(HOOK, 1)
        sender.agenda.close()
        gate.set()
    assert len(post_office.to(HOOK)) < 10
    async with working(other_sender):
        await post_office.until(HOOK, 50)
        await until_drained(other_sender, made)
    assert sorted(post_office.bodies(HOOK)) == list(range(50))


async def test_what_is_cut_off_in_the_middle_of_its_turn_is_free_for_others_at_once(
    sender: Operations, other_sender: Operations, post_office: Post
) -> None:
    await subscribe(sender)
    gate = post_office.hold(HOOK)
    gate.set()

    def answer_one(document: object) -> Outcome:
        gate.clear()
        return OK

    post_office.answers[HOOK] = answer_one
    await say(sender, *range(10))
    async with working(sender):
        await post_office.until(HOOK, 2)
    post_office.answers.clear()
    gate.set()
    async with working(other_sender):
        await until_all(post_office, 10)


async def test_an_ordered_subscription_hears_in_the_order_of_the_queue(
    sender: Operations, other_sender: Operations, post_office: Post, clock: MovableClock
) -> None:
    made = await subscribe(sender, _ordered=True)
    turns = iter([OK, OK, AWAY, AWAY, AWAY, AWAY])
    post_office.answers[HOOK] = lambda document: next(turns, OK)
    async with working(sender, other_sender):
        await asyncio.gather(say(sender, *range(10)), say(other_sender, *range(10, 20)))
        await post_office.until(HOOK, 6)
        await until_pending(sender, made)
        await settle(sender, clock, s=7)
        other_sender.agenda.ring()
        await post_office.until(HOOK, 24)
        await until_state(sender, made, *[State.DELIVERED] * 20)
    heard = list(dict.fromkeys(post_office.bodies(HOOK)))
    assert post_office.bodies(HOOK)[2:7] == [heard[2]] * 5
    assert len(post_office.to(HOOK)) == 24
    assert [one for one in heard if one < 10] == list(range(10))
    assert [one for one in heard if one >= 10] == list(range(10, 20))
    assert post_office.most_at_once == 1


async def test_a_delay_is_kept_and_holds_up_nothing(
    sender: Operations, post_office: Post, clock: MovableClock
) -> None:
    await subscribe(sender)
    async with working(sender):
        await say(sender, 1, delay_s=30)
        await say(sender, 2)
        await post_office.until(HOOK, 1)
        assert post_office.bodies(HOOK) == [2]
        await settle(sender, clock, s=29)
        await settle(sender, clock, s=1)
        await post_office.until(HOOK, 2)
    assert post_office.bodies(HOOK) == [2, 1]


async def test_in_an_ordered_subscription_a_delay_holds_up_what_is_behind_it(
    sender: Operations, post_office: Post, clock: MovableClock
) -> None:
    await subscribe(sender, _ordered=True)
    async with working(sender):
        await say(sender, 1, delay_s=30)
        await until_waiting(sender)
        await say(sender, 2)
        await until_nothing_new(sender)
        assert post_office.sent == []
        await settle(sender, clock, s=30)
        await post_office.until(HOOK, 2)
    assert post_office.bodies(HOOK) == [1, 2]


async def test_a_filter_lets_through_what_it_says(
    sender: Operations, post_office: Post
) -> None:
    await subscribe(sender, _filter={"body": {"kind": ["a", {"prefix": "b"}]}})
    async with working(sender):
        for kind in (b"a", b"c", b"bb", b"d", b"a"):
            await post(sender, draft(b'{"kind": "%s"}' % kind))
        await post_office.until(HOOK, 3)
    assert [body["kind"] for body in post_office.bodies(HOOK)] == ["a", "bb", "a"]


async def test_what_failed_or_was_delivered_can_be_sent_again(
    sender: Operations, post_office: Post
) -> None:
    made = await subscribe(sender)
    post_office.answer(HOOK, Outcome(404))
    async with working(sender):
        await say(sender, 1, 2)
        letters = await until_state(sender, made, State.FAILED, State.FAILED)
        post_office.answer(HOOK, OK)
        again = await sender.deliveries.replay(SOURCE, made, Selection(ids=[letters[0].id]))
        assert again.number == 1
        await until_state(sender, made, State.DELIVERED, State.FAILED)
        again = await sender.deliveries.replay(SOURCE, made, Selection(state=State.FAILED))
        assert (again.number, again.marker) == (1, None)
        await until_state(sender, made, State.DELIVERED, State.DELIVERED)
        await sender.deliveries.replay(SOURCE, made, Selection(since_ms=0))
        await post_office.until(HOOK, 6)
        done = await until_state(sender, made, State.DELIVERED, State.DELIVERED)
    assert [attempt.status for attempt in done[0].delivery.attempts] == [404, 200, 200]


async def test_who_unsubscribes_hears_nothing_more_until_it_confirms(
    sender: Operations, post_office: Post
) -> None:
    made = await subscribe(sender)
    await sender.subscriptions.confirm(PROJECT, QUEUE, made, confirmed=False)
    async with working(sender):
        await say(sender, 1)
        await until_nothing_is_due(sender)
        await sender.subscriptions.confirm(PROJECT, QUEUE, made, confirmed=True)
        await say(sender, 2)
        await post_office.until(HOOK, 1)
    assert post_office.bodies(HOOK) == [2]


async def test_another_address_gets_what_is_sent_from_then_on(
    sender: Operations, post_office: Post
) -> None:
    made = await subscribe(sender)
    async with working(sender):
        await say(sender, 1)
        await post_office.until(HOOK, 1)
        await move(sender, made, OTHER)
        await say(sender, 2)
        await post_office.until(OTHER, 1)
    assert (post_office.bodies(HOOK), post_office.bodies(OTHER)) == ([1], [2])


async def test_what_was_posted_is_delivered_after_the_queue_was_deleted(
    sender: Operations, post_office: Post, clock: MovableClock
) -> None:
    await subscribe(sender)
    await say(sender, 1)
    await sender.queues.delete(PROJECT, QUEUE)
    # A queue that comes back within the second could get company below what was posted.
    clock.advance(s=1)
    async with working(sender):
        await post_office.until(HOOK, 1)
        await say(sender, 2)
        await post_office.until(HOOK, 2)
    assert post_office.bodies(HOOK) == [1, 2]
