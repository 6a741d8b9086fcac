"""From a post to its subscribers: at least once, in order where asked for, nobody held up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from queues.deliveries import State
from queues.model import RecordKind
from queues.operations import Operations
from queues.operations.deliveries import Listed, Selection
from queues.operations.delivery_book import Source
from queues.retries import Outcome
from tests.clock import MovableClock
from tests.operations.calls import PROJECT, QUEUE, draft, patch, post
from tests.operations.receivers import AWAY, OK, Post, process, settle, working
from tests.operations.subscribing import HOOK, OTHER, move, records, subscribe
from tests.transport.faults import FaultyStorage

SOURCE = Source(PROJECT, QUEUE)


@pytest.fixture
def post_office() -> Post:
    return Post()


@pytest.fixture
def here(storage: FaultyStorage, clock: MovableClock, post_office: Post) -> Operations:
    return process(storage, clock, post_office)


@pytest.fixture
def there(other_storage: FaultyStorage, clock: MovableClock, post_office: Post) -> Operations:
    return process(other_storage, clock, post_office)


async def say(operations: Operations, *bodies: int, delay_s: int | None = None) -> None:
    """Post messages, each for itself."""
    for body in bodies:
        await post(operations, draft(b"%d" % body, delay_s=delay_s))


async def deliveries(operations: Operations, subscription_id: str) -> list[Listed]:
    page = await operations.deliveries.list(
        SOURCE, subscription_id, state=None, marker="", limit=20
    )
    return list(page.deliveries)


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await check():  # noqa: ASYNC110 (the store tells nobody)
            await asyncio.sleep(0.005)


async def until_attempts(operations: Operations, made: str, number: int) -> None:
    """Wait until the first delivery of a subscription has had so many attempts."""

    async def check() -> bool:
        listed = await deliveries(operations, made)
        return bool(listed) and len(listed[0].delivery.attempts) >= number

    await until(check)


async def until_state(operations: Operations, made: str, *states: State) -> list[Listed]:
    """Wait until the deliveries of a subscription stand so, in the order of the queue."""

    async def check() -> bool:
        listed = await deliveries(operations, made)
        return [one.delivery.state for one in listed] == list(states)

    await until(check)
    return await deliveries(operations, made)


async def test_every_subscriber_hears_of_every_post_once(
    here: Operations, post_office: Post
) -> None:
    made = await subscribe(here)
    await subscribe(here, OTHER)
    async with working(here):
        await post(here, draft(b"1"), draft(b"2"))
        await say(here, 3)
        await post_office.until(HOOK, 3)
        await post_office.until(OTHER, 3)
        await until_state(here, made, *[State.DELIVERED] * 3)
    assert sorted(post_office.bodies(HOOK)) == sorted(post_office.bodies(OTHER)) == [1, 2, 3]


async def test_only_posts_after_the_subscription_are_notified_of(
    here: Operations, post_office: Post
) -> None:
    await subscribe(here, OTHER)
    await say(here, 1)
    await subscribe(here)
    await say(here, 2)
    async with working(here):
        await post_office.until(HOOK, 1)
        await post_office.until(OTHER, 2)
    assert post_office.bodies(HOOK) == [2]


async def test_any_number_of_processes_share_the_work_and_send_nothing_twice(
    here: Operations, there: Operations, post_office: Post
) -> None:
    made = await subscribe(here)
    async with working(here, there):
        await asyncio.gather(say(here, *range(50)), say(there, *range(50, 100)))
        await post_office.until(HOOK, 100)
        await until_drained(here, made)
    assert sorted(post_office.bodies(HOOK)) == list(range(100))


async def test_whoever_is_told_to_stop_leaves_the_rest_to_others_at_once(
    here: Operations, there: Operations, post_office: Post
) -> None:
    made = await subscribe(here)
    gate = post_office.hold(HOOK)
    async with working(here):
        await say(here, *range(50))
        await post_office.until(HOOK, 1)
        here.agenda.close()
        gate.set()
    assert len(post_office.to(HOOK)) < 10
    async with working(there):
        await post_office.until(HOOK, 50)
        await until_drained(there, made)
    assert sorted(post_office.bodies(HOOK)) == list(range(50))


async def until_drained(operations: Operations, made: str) -> None:
    async def check() -> bool:
        page = await operations.deliveries.list(
            SOURCE, made, state=State.PENDING, marker="", limit=1
        )
        return not page.deliveries

    await until(check)


async def test_what_fails_is_tried_again_in_time_and_holds_up_nothing(
    here: Operations, post_office: Post, clock: MovableClock
) -> None:
    made = await subscribe(here, _retry_policy={"retries_with_no_delay": 1})
    failing = {"left": 3}

    def answer(document: dict[str, int]) -> Outcome:
        if document["body"] == 1 and failing["left"]:
            failing["left"] -= 1
            return Outcome(503)
        return OK

    post_office.answers[HOOK] = answer
    async with working(here):
        await say(here, 1, 2)
        await until_attempts(here, made, 2)
        first, _ = await until_state(here, made, State.PENDING, State.DELIVERED)
        assert first.due_ms is not None
        assert 5000 <= first.due_ms - clock.now_ms() <= 6250
        await settle(here, clock, s=6.25)
        await post_office.until(HOOK, 4)
        await settle(here, clock, s=6.25)
        await post_office.until(HOOK, 5)
        first, _ = await until_state(here, made, State.DELIVERED, State.DELIVERED)
    assert [attempt.status for attempt in first.delivery.attempts] == [503, 503, 503, 200]
    assert post_office.bodies(HOOK).count(2) == 1
    ids = {parcel.letter.headers["webhook-id"] for parcel in post_office.to(HOOK)}
    assert len(ids) == 2, "an attempt bears the id of the first one"


@pytest.mark.parametrize("status", [400, 404, 301, 405])
async def test_what_is_refused_is_a_dead_letter_at_once(
    here: Operations, post_office: Post, status: int
) -> None:
    made = await subscribe(here)
    post_office.answer(HOOK, Outcome(status))
    async with working(here):
        await say(here, 1)
        (letter,) = await until_state(here, made, State.FAILED)
    assert [attempt.status for attempt in letter.delivery.attempts] == [status]
    assert letter.due_ms is None


async def test_what_never_succeeds_is_a_dead_letter_when_the_policy_ends(
    here: Operations, post_office: Post, clock: MovableClock
) -> None:
    quick = {
        "retries_with_no_delay": 2,
        "minimum_delay_retries": 0,
        "maximum_delay_retries": 1,
    }
    await patch_retry_policy(here, quick)
    made = await subscribe(here)
    post_office.answer(HOOK, AWAY)
    async with working(here):
        await say(here, 1)
        for number in range(3, 9):
            await post_office.until(HOOK, number)
            await until_attempts(here, made, number)
            await settle(here, clock, s=60)
        (letter,) = await until_state(here, made, State.FAILED)
    assert len(letter.delivery.attempts) == 1 + 2 + 5 + 1
    assert {attempt.error for attempt in letter.delivery.attempts} == {"nobody listens"}


async def patch_retry_policy(operations: Operations, policy: dict[str, int]) -> None:
    await operations.queues.create(PROJECT, QUEUE, {})
    await patch(operations, "_retry_policy", policy)


async def test_a_receiver_that_is_gone_ends_its_subscription(
    here: Operations, post_office: Post
) -> None:
    made = await subscribe(here)
    post_office.answer(HOOK, Outcome(410))
    async with working(here):
        await say(here, 1)
        await until_state(here, made, State.FAILED)
        found = await here.subscriptions.get(PROJECT, QUEUE, made)
        assert found.state == "gone"
        await say(here, 2)
        await until_nothing_is_due(here)
    assert post_office.bodies(HOOK) == [1]


async def until_nothing_is_due(operations: Operations) -> None:
    storage = operations._storage  # noqa: SLF001 (a look into the store)

    async def check() -> bool:
        now_ms = operations.agenda._clock.now_ms()  # noqa: SLF001
        kinds = (RecordKind.OUTBOX, RecordKind.LANE)
        found = [one for kind in kinds for one in await records(storage, kind, now_ms)]
        return all(one.due_ms is None for one in found)

    await until(check)


async def test_a_receiver_that_asks_for_patience_gets_it(
    here: Operations, post_office: Post, clock: MovableClock
) -> None:
    made = await subscribe(here)
    post_office.answer(HOOK, Outcome(429, retry_after_s=120), OK)
    async with working(here):
        await say(here, 1)
        await post_office.until(HOOK, 1)
        (one,) = await until_state(here, made, State.PENDING)
        assert one.due_ms == clock.now_ms() + 120_000
        await settle(here, clock, s=120)
        await until_state(here, made, State.DELIVERED)


async def test_a_slow_receiver_delays_nobody_else(here: Operations, post_office: Post) -> None:
    await subscribe(here)
    await subscribe(here, OTHER)
    gate = post_office.hold(HOOK)
    async with working(here):
        await say(here, *range(20))
        await post_office.until(OTHER, 20)
        assert len(post_office.to(HOOK)) == 1
        gate.set()
        await post_office.until(HOOK, 20)


async def test_a_receiver_that_is_away_is_asked_for_rarely_however_much_waits(
    here: Operations, post_office: Post, storage: FaultyStorage, clock: MovableClock
) -> None:
    await subscribe(here)
    post_office.answer(HOOK, AWAY)
    await say(here, *range(200))
    async with working(here):
        await until_quiet(here, storage, clock)
        tried = set(post_office.bodies(HOOK))
        assert len(tried) == 5
        post_office.answer(HOOK, OK)
        await settle(here, clock, s=700)
        await until_all(post_office, 200)
    assert set(post_office.bodies(HOOK)) == set(range(200))


async def until_quiet(
    operations: Operations, storage: FaultyStorage, clock: MovableClock
) -> None:
    async def check() -> bool:
        (lane,) = await records(storage, RecordKind.LANE, clock.now_ms())
        return b'"quiet_until_ms": 0' not in lane.document

    await until(check)


async def until_all(post_office: Post, number: int) -> None:
    async def check() -> bool:
        return len(set(post_office.bodies(HOOK))) == number

    await until(check)


async def test_an_ordered_subscription_hears_in_the_order_of_the_queue(
    here: Operations, there: Operations, post_office: Post, clock: MovableClock
) -> None:
    made = await subscribe(here, _ordered=True)
    turns = iter([OK, OK, AWAY, AWAY, AWAY, AWAY])
    post_office.answers[HOOK] = lambda document: next(turns, OK)
    async with working(here, there):
        await asyncio.gather(say(here, *range(10)), say(there, *range(10, 20)))
        await post_office.until(HOOK, 6)
        await until_pending(here, made)
        await settle(here, clock, s=7)
        there.agenda.ring()
        await post_office.until(HOOK, 24)
        await until_state(here, made, *[State.DELIVERED] * 20)
    heard = list(dict.fromkeys(post_office.bodies(HOOK)))
    assert post_office.bodies(HOOK)[2:7] == [heard[2]] * 5
    assert len(post_office.to(HOOK)) == 24
    assert [one for one in heard if one < 10] == list(range(10))
    assert [one for one in heard if one >= 10] == list(range(10, 20))
    assert post_office.most_at_once == 1


async def until_pending(operations: Operations, made: str) -> None:
    async def check() -> bool:
        page = await operations.deliveries.list(
            SOURCE, made, state=State.PENDING, marker="", limit=1
        )
        return any(len(one.delivery.attempts) == 4 for one in page.deliveries)

    await until(check)


async def test_a_delay_is_kept_and_holds_up_nothing(
    here: Operations, post_office: Post, clock: MovableClock
) -> None:
    await subscribe(here)
    async with working(here):
        await say(here, 1, delay_s=30)
        await say(here, 2)
        await post_office.until(HOOK, 1)
        assert post_office.bodies(HOOK) == [2]
        await settle(here, clock, s=29)
        await settle(here, clock, s=1)
        await post_office.until(HOOK, 2)
    assert post_office.bodies(HOOK) == [2, 1]


async def test_in_an_ordered_subscription_a_delay_holds_up_what_is_behind_it(
    here: Operations, post_office: Post, clock: MovableClock
) -> None:
    await subscribe(here, _ordered=True)
    async with working(here):
        await say(here, 1, delay_s=30)
        await until_waiting(here)
        await say(here, 2)
        await until_nothing_new(here)
        assert post_office.sent == []
        await settle(here, clock, s=30)
        await post_office.until(HOOK, 2)
    assert post_office.bodies(HOOK) == [1, 2]


async def until_waiting(operations: Operations) -> None:
    storage = operations._storage  # noqa: SLF001

    async def check() -> bool:
        now_ms = operations.agenda._clock.now_ms()  # noqa: SLF001
        (lane,) = await records(storage, RecordKind.LANE, now_ms)
        return b'"waits_until_ms": 0' not in lane.document

    await until(check)


async def until_nothing_new(operations: Operations) -> None:
    storage = operations._storage  # noqa: SLF001

    async def check() -> bool:
        now_ms = operations.agenda._clock.now_ms()  # noqa: SLF001
        outbox = await records(storage, RecordKind.OUTBOX, now_ms)
        (lane,) = await records(storage, RecordKind.LANE, now_ms)
        waits = b'"waits_until_ms": 0' not in lane.document
        return waits and all(one.due_ms is None for one in outbox)

    await until(check)


async def test_a_filter_lets_through_what_it_says(here: Operations, post_office: Post) -> None:
    await subscribe(here, _filter={"body": {"kind": ["a", {"prefix": "b"}]}})
    async with working(here):
        for kind in (b"a", b"c", b"bb", b"d", b"a"):
            await post(here, draft(b'{"kind": "%s"}' % kind))
        await post_office.until(HOOK, 3)
    assert [body["kind"] for body in post_office.bodies(HOOK)] == ["a", "bb", "a"]


async def test_what_failed_or_was_delivered_can_be_sent_again(
    here: Operations, post_office: Post
) -> None:
    made = await subscribe(here)
    post_office.answer(HOOK, Outcome(404))
    async with working(here):
        await say(here, 1, 2)
        letters = await until_state(here, made, State.FAILED, State.FAILED)
        post_office.answer(HOOK, OK)
        again = await here.deliveries.replay(SOURCE, made, Selection(ids=[letters[0].id]))
        assert again.number == 1
        await until_state(here, made, State.DELIVERED, State.FAILED)
        again = await here.deliveries.replay(SOURCE, made, Selection(state=State.FAILED))
        assert (again.number, again.marker) == (1, None)
        await until_state(here, made, State.DELIVERED, State.DELIVERED)
        await here.deliveries.replay(SOURCE, made, Selection(since_ms=0))
        await post_office.until(HOOK, 6)
        done = await until_state(here, made, State.DELIVERED, State.DELIVERED)
    assert [attempt.status for attempt in done[0].delivery.attempts] == [404, 200, 200]


async def test_who_unsubscribes_hears_nothing_more_until_it_confirms(
    here: Operations, post_office: Post
) -> None:
    made = await subscribe(here)
    await here.subscriptions.confirm(PROJECT, QUEUE, made, confirmed=False)
    async with working(here):
        await say(here, 1)
        await until_nothing_is_due(here)
        await here.subscriptions.confirm(PROJECT, QUEUE, made, confirmed=True)
        await say(here, 2)
        await post_office.until(HOOK, 1)
    assert post_office.bodies(HOOK) == [2]


async def test_another_address_gets_what_is_sent_from_then_on(
    here: Operations, post_office: Post
) -> None:
    made = await subscribe(here)
    async with working(here):
        await say(here, 1)
        await post_office.until(HOOK, 1)
        await move(here, made, OTHER)
        await say(here, 2)
        await post_office.until(OTHER, 1)
    assert (post_office.bodies(HOOK), post_office.bodies(OTHER)) == ([1], [2])


async def test_what_was_posted_is_delivered_after_the_queue_was_deleted(
    here: Operations, post_office: Post, clock: MovableClock
) -> None:
    await subscribe(here)
    await say(here, 1)
    await here.queues.delete(PROJECT, QUEUE)
    # A queue that comes back within the second could get company below what was posted.
    clock.advance(s=1)
    async with working(here):
        await post_office.until(HOOK, 1)
        await say(here, 2)
        await post_office.until(HOOK, 2)
    assert post_office.bodies(HOOK) == [1, 2]
