"""The waiting room: who is woken by what, in which order, and who takes nothing along."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from queues.errors import StorageUnavailable
from queues.model import Claim, Message, Topic, TopicKind
from queues.operations.places import REMIND_S
from queues.operations.waiting import LINGER_S, Taking, WaitingRoom
from tests.conformance.reference import ReferenceStorage
from tests.conformance.world import World
from tests.factories import new_message
from tests.operations.hurry import LoopClock, in_no_time, settled
from tests.transport.faults import FaultyStorage

TOPIC = Topic("p", TopicKind.QUEUE, "q")
LEASE_S = 60
MINUTE_S = 60.0


class Bench:
    """A queue in memory, and those who wait for its messages in one process."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.clock = LoopClock()
        self.storage = FaultyStorage(ReferenceStorage(self.world))
        self.room = WaitingRoom(self.storage, self.clock)
        self.calls: Counter[str] = Counter()
        self.took: list[str] = []
        self.looks = 0
        self.misses = 0
        self.gate: Callable[[], Awaitable[object]] | None = None
        self.storage.before = self._count

    async def _count(self, name: str) -> None:
        self.calls[name] += 1

    async def post(self, *bodies: str, delay_s: float = 0) -> None:
        created = await self.storage.queues.create(
            "p", "q", metadata=b"{}", version=1, now_ms=self.clock.now_ms()
        )
        await self.storage.messages.post(
            "p",
            "q",
            [new_message(body, delay_s=delay_s) for body in bodies],
            queue_version=created[0].version,
            idempotency=None,
            now_ms=self.clock.now_ms(),
        )

    async def watch(self) -> None:
        """Let the room know the topic already, so that whoever comes looks only once."""
        await self.reader(wait_s=0.001)

    async def release(self, claim: Claim) -> None:
        now_ms = self.clock.now_ms()
        await self.storage.claims.release("p", "q", claim.id, now_ms=now_ms)

    def taker(
        self, name: str, *, limit: int = 1, wait_s: float = MINUTE_S, blind: bool = False
    ) -> asyncio.Task[Claim | None]:
        """Begin to wait for messages to claim; who is `blind` never finds any."""

        async def attempt() -> Claim | None:
            claim = None
            self.looks += 1
            if self.misses:
                self.misses -= 1
            elif not blind and await self.storage.queues.get("p", "q"):
                claim = await self.claim(name, limit)
            if self.gate is not None:
                await self.gate()
            return claim

        def leaves_more(claim: Claim | None) -> bool:
            return blind if claim is None else len(claim.messages) == limit

        async def wait() -> Claim | None:
            taking = Taking(self.release, leaves_more)
            claim = await self.room.wait(TOPIC, attempt, wait_s=wait_s, taking=taking)
            if claim is not None:
                self.took.append(name)
            return claim

        return asyncio.create_task(wait())

    async def claim(self, name: str, limit: int) -> Claim | None:
        return await self.storage.claims.claim(
            "p",
            "q",
            claim_id=name,
            limit=limit,
            lease_ms=LEASE_S * 1000,
            grace_ms=0,
            dead_letter=None,
            queue_version=1,
            idempotency=None,
            now_ms=self.clock.now_ms(),
        )

    def reader(self, *, wait_s: float = MINUTE_S) -> asyncio.Task[list[Message] | None]:
        """Begin to wait for ready messages, without taking them away."""

        async def attempt() -> list[Message] | None:
            page = await self.storage.messages.list(
                "p",
                "q",
                after_seq=0,
                limit=10,
                include_claimed=False,
                include_delayed=False,
                exclude_client_id=None,
                now_ms=self.clock.now_ms(),
            )
            return list(page.messages) or None

        return asyncio.create_task(self.room.wait(TOPIC, attempt, wait_s=wait_s))


def now_s() -> float:
    return asyncio.get_running_loop().time()


@in_no_time
async def test_what_is_there_is_found_at_once() -> None:
    bench = Bench()
    await bench.post("1")
    assert await bench.taker("a") is not None
    assert now_s() == 0


@in_no_time
async def test_nobody_goes_empty_handed_before_the_wait_is_over() -> None:
    bench = Bench()
    assert await bench.taker("a", wait_s=7) is None
    assert now_s() == 7
    assert await bench.reader(wait_s=5) is None
    assert now_s() == 12


@in_no_time
async def test_a_post_wakes_whoever_waits() -> None:
    bench = Bench()
    taker = bench.taker("a")
    await asyncio.sleep(30)
    await bench.post("1")
    claim = await taker
    assert claim is not None
    assert now_s() == 30


@in_no_time
async def test_a_post_in_another_process_wakes_whoever_waits() -> None:
    bench = Bench()
    taker = bench.taker("a")
    await asyncio.sleep(30)
    await Bench(bench.world).post("1")
    assert await taker is not None
    assert now_s() == 30


@in_no_time
async def test_one_message_wakes_one_taker_in_the_order_of_their_coming() -> None:
    bench = Bench()
    takers = [bench.taker(name) for name in "abcd"]
    await settled()
    for number in range(3):
        await bench.post("1")
        await settled()
        assert bench.took == ["a", "b", "c"][: number + 1]
    # Who got all that was wanted lets the next one see whether there is more.
    assert bench.calls["claims.claim"] == 6
    takers[3].cancel()


@in_no_time
async def test_several_messages_of_one_post_wake_as_many_as_they_feed() -> None:
    bench = Bench()
    takers = [bench.taker(name, limit=2) for name in "abcd"]
    await settled()
    await bench.post("1", "2", "3", "4", "5")
    await settled()
    assert bench.took == ["a", "b", "c"]
    assert [len(taker.result().messages) for taker in takers[:3]] == [2, 2, 1]  # type: ignore[union-attr]
    takers[3].cancel()


@in_no_time
async def test_a_post_wakes_all_readers() -> None:
    bench = Bench()
    readers = [bench.reader() for _ in range(5)]
    await settled()
    await bench.post("1")
    pages = await asyncio.gather(*readers)
    assert all(page and len(page) == 1 for page in pages)
    assert now_s() == 0


@in_no_time
async def test_a_hint_during_an_attempt_is_not_lost() -> None:
    bench = Bench()
    await bench.watch()
    looking = asyncio.Event()
    bench.gate = looking.wait
    taker = bench.taker("a")
    await settled()
    await bench.post("1")
    looking.set()
    assert await taker is not None
    assert now_s() < 1


@in_no_time
async def test_a_hint_while_all_look_is_for_whoever_finds_nothing() -> None:
    bench = Bench()
    await bench.watch()
    await bench.post("1")
    looking = asyncio.Event()
    bench.gate = looking.wait
    takers = [bench.taker(name) for name in "ab"]
    await settled()
    await bench.post("2")
    looking.set()
    assert all(await asyncio.gather(*takers))
    assert now_s() < 1


@in_no_time
async def test_who_was_woken_in_vain_keeps_its_place() -> None:
    bench = Bench()
    takers = [bench.taker(name) for name in "abc"]
    await settled()
    await bench.post("1")
    rival = await bench.claim("rival", 1)
    await settled()
    assert rival is not None
    assert bench.took == []
    await bench.post("2")
    await settled()
    assert bench.took == ["a"]
    for taker in takers[1:]:
        taker.cancel()


@in_no_time
async def test_who_finds_nothing_by_its_own_fault_passes_the_hint_on() -> None:
    bench = Bench()
    blind = [bench.taker(name, blind=True) for name in "ab"]
    taker = bench.taker("c")
    await settled()
    await bench.post("1")
    assert await taker is not None
    assert now_s() == 0
    await settled()
    for one in blind:
        one.cancel()


@in_no_time
async def test_the_blind_do_not_wake_one_another_for_ever() -> None:
    bench = Bench()
    blind = [bench.taker(name, blind=True) for name in "abc"]
    await settled()
    await bench.post("1")
    assert await asyncio.gather(*blind) == [None, None, None]
    assert now_s() == MINUTE_S


@in_no_time
async def test_who_lost_against_others_gets_what_is_left_a_second_later() -> None:
    bench = Bench()
    taker = bench.taker("a")
    await settled()
    bench.misses = 1
    await bench.post("1")
    assert await taker is not None
    assert now_s() == REMIND_S


@in_no_time
async def test_after_a_hint_that_led_to_nothing_there_is_peace() -> None:
    bench = Bench()
    taker = bench.taker("a")
    await settled()
    before = bench.looks
    bench.misses = 1000
    await bench.post("1")
    assert await taker is None
    assert bench.looks - before <= 3


@in_no_time
async def test_who_leaves_after_being_woken_passes_the_hint_on() -> None:
    bench = Bench()
    first, second = bench.taker("a"), bench.taker("b")
    await settled()
    await bench.post("1")
    await asyncio.sleep(0)  # the hint is given, and nobody has looked yet
    first.cancel()
    assert await second is not None
    assert bench.took == ["b"]
    assert now_s() == 0


@in_no_time
async def test_an_attempt_of_somebody_who_left_is_finished_and_undone() -> None:
    bench = Bench()
    looking = asyncio.Event()
    bench.gate = looking.wait
    await bench.post("1")
    gone = bench.taker("a")
    await settled()
    gone.cancel()
    await settled()
    assert gone.cancelled()
    bench.gate = None
    waiting = bench.taker("b")
    await settled()
    assert not waiting.done()
    looking.set()
    claim = await waiting
    assert claim is not None
    assert now_s() == 0
    await bench.room.emptied()


@in_no_time
async def test_who_fails_passes_the_hint_on() -> None:
    bench = Bench()
    first, second = bench.taker("a"), bench.taker("b")
    await settled()

    async def fail() -> None:
        bench.gate = None
        raise StorageUnavailable("away")

    bench.gate = fail
    await bench.post("1", "2")
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert isinstance(results[0], StorageUnavailable)
    assert isinstance(results[1], Claim)
    assert now_s() == 0


@in_no_time
async def test_a_delay_that_ends_wakes() -> None:
    bench = Bench()
    taker, reader = bench.taker("a"), bench.reader()
    await asyncio.sleep(10)
    await bench.post("1", delay_s=5)
    await asyncio.gather(taker, reader)
    assert taker.result() is not None
    assert now_s() == 15


@in_no_time
async def test_a_delay_that_ends_between_looking_and_asking_wakes() -> None:
    bench = Bench()
    await bench.post("1", delay_s=5)
    looks = iter(range(2))

    async def dawdle() -> None:
        if next(looks, 0) == 1:
            await asyncio.sleep(6)

    bench.gate = dawdle
    assert await bench.taker("a") is not None
    assert now_s() == 6


@in_no_time
async def test_a_lease_that_ends_wakes_the_next() -> None:
    bench = Bench()
    await bench.post("1")
    first = bench.taker("a")
    second = bench.taker("b", wait_s=2 * MINUTE_S)
    assert await first is not None
    assert await second is not None
    assert now_s() == LEASE_S


@in_no_time
async def test_delays_that_end_one_after_another_wake_one_after_another() -> None:
    bench = Bench()
    takers = [bench.taker(name) for name in "abc"]
    await settled()
    for delay_s in (5, 5.001, 9):
        await bench.post("1", delay_s=delay_s)
    assert all(await asyncio.gather(*takers))
    assert bench.took == ["a", "b", "c"]
    assert 9 <= now_s() < 9.01


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
