"""The waiting room as a whole: what it costs, what it watches, and how it closes."""

from __future__ import annotations

import asyncio

from queues.model import Topic, TopicKind
from queues.operations.waiting import LINGER_S
from tests.operations.hurry import in_no_time, settled
from tests.operations.waiters import MINUTE_S, TOPIC, Bench, now_s


@in_no_time
async def test_who_waits_asks_the_store_nothing() -> None:
    bench = Bench()
    takers = [bench.taker(str(number)) for number in range(100)]
    await asyncio.sleep(1)
    bench.calls.clear()
    await asyncio.sleep(50)
    assert bench.calls == {}
    for taker in takers:
        taker.cancel()


@in_no_time
async def test_a_hint_about_everything_is_spread() -> None:
    bench = Bench()
    looks: list[float] = []

    async def attempt() -> None:
        looks.append(now_s())

    topics = [Topic("p", TopicKind.SIGNAL, str(number)) for number in range(200)]
    waiting = [
        asyncio.create_task(bench.room.wait(topic, attempt, wait_s=MINUTE_S))
        for topic in topics
    ]
    await asyncio.sleep(1)
    looks.clear()
    for ear in bench.world.ears:
        ear.heard(None)
        ear.heard(None)
    await asyncio.sleep(5)
    assert len(looks) == 200
    assert len(set(looks)) >= 4
    assert max(looks) < 2
    for one in waiting:
        one.cancel()


@in_no_time
async def test_all_leave_when_the_room_is_closed() -> None:
    bench = Bench()
    taker, reader = bench.taker("a"), bench.reader()
    async with bench.room.watching(TOPIC) as bell:
        ringing = asyncio.create_task(bell.heard(MINUTE_S))
        await asyncio.sleep(1)
        bench.room.close()
        assert await asyncio.gather(taker, reader, ringing) == [None, None, False]
        assert await bell.heard(MINUTE_S) is False
    assert await bench.taker("b") is None
    assert now_s() == 1
    await bench.post("1")
    assert await bench.taker("c") is not None
    await bench.room.emptied()


@in_no_time
async def test_who_looks_while_the_room_is_closed_leaves_after_it() -> None:
    bench = Bench()
    looking = asyncio.Event()
    bench.gate = looking.wait
    taker, reader = bench.taker("a"), bench.reader()
    await settled()
    bench.room.close()
    bench.calls.clear()
    looking.set()
    assert await asyncio.gather(taker, reader) == [None, None]
    await settled()
    assert now_s() == 0
    assert bench.calls["messages.next_due"] == 0


@in_no_time
async def test_a_bell_rings_for_what_happened_since_it_was_heard() -> None:
    bench = Bench()
    async with bench.room.watching(TOPIC) as bell:
        assert not await bell.heard(15)
        assert now_s() == 15
        await bench.post("1", delay_s=3)
        await settled()
        assert await bell.heard(15)
        assert now_s() == 15
        assert await bell.heard(15)
        assert now_s() == 18
        assert not await bell.heard(15)


@in_no_time
async def test_a_bell_that_was_stopped_is_waited_for_no_more() -> None:
    bench = Bench()
    async with bench.room.watching(TOPIC) as bell:
        listening = asyncio.create_task(bell.heard(MINUTE_S))
        await settled()
        bell.stop()
        assert await listening is False
        assert await bell.heard(MINUTE_S) is False
    assert now_s() == 0


@in_no_time
async def test_a_bell_that_is_silent_asks_the_store_nothing() -> None:
    bench = Bench()
    async with bench.room.watching(TOPIC) as bell:
        await bell.heard(15)
        bench.calls.clear()
        for _ in range(4):
            await bell.heard(15)
    assert bench.calls == {}


@in_no_time
async def test_a_topic_is_watched_a_little_longer_than_somebody_waits() -> None:
    bench = Bench()
    await bench.reader(wait_s=1)
    (ear,) = bench.world.ears
    await asyncio.sleep(LINGER_S / 2)
    assert TOPIC in ear.topics
    reader = bench.reader(wait_s=LINGER_S)
    await asyncio.sleep(LINGER_S - 0.1)
    assert TOPIC in ear.topics
    await reader
    await asyncio.sleep(LINGER_S + 1)
    assert TOPIC not in ear.topics


@in_no_time
async def test_who_comes_while_a_topic_is_given_up_misses_nothing() -> None:
    bench = Bench()
    forgetting, goes_on = asyncio.Event(), asyncio.Event()
    wakeups = bench.storage.wakeups
    forget = wakeups.forget

    async def slowly(topic: Topic) -> None:
        forgetting.set()
        await goes_on.wait()
        await forget(topic)

    wakeups.forget = slowly  # type: ignore[method-assign]
    await bench.reader(wait_s=1)
    await forgetting.wait()
    reader = bench.reader()
    await asyncio.sleep(1)
    goes_on.set()
    await settled()
    await bench.post("1")
    assert await reader
    assert now_s() < 10
