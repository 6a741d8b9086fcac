"""The waiting room: who is woken by what, in which order, and who takes nothing along."""

from __future__ import annotations

import asyncio
import gc

from queues.errors import IdempotencyKeyReused, StorageUnavailable
from queues.model import Claim
from queues.operations.places import REMIND_S
from tests.operations.hurry import in_no_time, settled
from tests.operations.waiters import LEASE_S, MINUTE_S, Bench, now_s


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
async def test_what_is_refused_to_somebody_who_left_is_nobodys_error() -> None:
    bench = Bench()
    unheard: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: unheard.append(what))
    looking = asyncio.Event()

    async def refuse() -> None:
        await looking.wait()
        raise IdempotencyKeyReused("used before")

    bench.gate = refuse
    gone = bench.taker("a")
    await settled()
    gone.cancel()
    await settled()
    looking.set()
    await bench.room.emptied()
    await settled()
    gc.collect()
    assert not unheard


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
