"""A server process is killed at each of its commands; another one repeats or sweeps.

Each test runs once undisturbed to see how many commands there are, then once for every
command, cut off before it arrives and again after it is done but not answered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from queues.errors import StorageUnavailable
from queues.model import Claim, DeadLetterPolicy
from tests.conformance.ear import Ear, queue_topic
from tests.conformance.handle import QueueHandle, seqs_of
from tests.drivers.mongodb_outbox import HELD_S, forget, keys, post_and_tell, take, told
from tests.drivers.mongodb_storage import orders, through_a_line
from tests.factories import idempotency, new_message, new_messages
from tests.servers.mongodb import MongoServer

pytestmark = [pytest.mark.mongodb, pytest.mark.slow]

TIMEOUT_MS = 600
POLICY = DeadLetterPolicy(queue="dead", max_claims=1, ttl_s=None, version=77)

Call = Callable[[QueueHandle], Awaitable[object]]


@asynccontextmanager
async def interrupted(
    server: MongoServer, prepare: Call, call: Call, number: int, *, answer_lost: bool
) -> AsyncIterator[QueueHandle]:
    """Prepare a queue, kill a process at a command of its call, and give a sound one."""
    async with orders(server) as (sound, url):
        await prepare(sound)
        async with through_a_line(sound, server, url, timeout_ms=TIMEOUT_MS) as (shaky, line):
            line.cut_at(number, answer_lost=answer_lost)
            with pytest.raises(StorageUnavailable):
                await call(shaky)
        yield sound


async def commands_of(server: MongoServer, prepare: Call, call: Call) -> int:
    """Return how many commands the call takes, without those in the background."""
    async with orders(server) as (sound, url):
        await prepare(sound)
        async with through_a_line(sound, server, url) as (queue, line):
            await call(queue)
            return len(line.commands)


async def moments(server: MongoServer, prepare: Call, call: Call) -> AsyncIterator[QueueHandle]:
    """Kill a process at each command of its call, and give a sound one."""
    count = await commands_of(server, prepare, call)
    assert count > 2
    for number in range(count):
        for answer_lost in (False, True):
            async with interrupted(
                server, prepare, call, number, answer_lost=answer_lost
            ) as sound:
                yield sound


async def nothing(_: QueueHandle) -> None:
    """Leave the queue empty."""


async def post(queue: QueueHandle) -> list[int]:
    return await queue.post(*new_messages(3), idempotency=idempotency())


async def test_a_keyed_post_that_is_repeated_after_a_crash_is_stored_once(
    mongodb_server: MongoServer,
) -> None:
    async for sound in moments(mongodb_server, nothing, post):
        seqs = await post(sound)
        assert [message.body for message in await sound.everything()] == [b"0", b"1", b"2"]
        assert seqs_of(await sound.everything()) == seqs
        assert await post(sound) == seqs
        assert await sound.counts() == (0, 3)


async def test_a_keyed_post_of_consumed_messages_is_not_stored_again(
    mongodb_server: MongoServer,
) -> None:
    async for sound in moments(mongodb_server, nothing, post):
        consumed = await sound.pop(3)
        seqs = await post(sound)
        if consumed:
            assert seqs == consumed
        left = [message.body for message in await sound.everything()]
        assert left == ([] if consumed else [b"0", b"1", b"2"])


async def test_readers_of_a_half_done_keyed_post_miss_nothing_later(
    mongodb_server: MongoServer,
) -> None:
    async for sound in moments(mongodb_server, nothing, post):
        (later,) = await sound.post(new_message("later"))
        seen = seqs_of(await sound.everything())
        seqs = await post(sound)
        if seqs[0] < later:
            assert seen == [*seqs, later]
        else:
            assert seen == [later]
        assert seqs_of(await sound.everything()) == sorted([*seqs, later])


async def tell(queue: QueueHandle) -> list[int]:
    return await post_and_tell(queue, *new_messages(3))


async def tell_once(queue: QueueHandle) -> list[int]:
    return await post_and_tell(queue, *new_messages(3), key=idempotency())


@pytest.mark.parametrize("call", [tell, tell_once])
async def test_no_message_of_an_interrupted_post_is_without_its_record(
    mongodb_server: MongoServer, call: Callable[[QueueHandle], Awaitable[list[int]]]
) -> None:
    async for sound in moments(mongodb_server, nothing, call):
        sound.clock.advance(s=HELD_S)
        left = await take(sound)
        seen = seqs_of(await sound.everything())
        assert len(left) <= 1
        if seen:
            assert left == keys(seen[0])


async def test_a_post_that_is_repeated_after_a_crash_has_its_record(
    mongodb_server: MongoServer,
) -> None:
    async for sound in moments(mongodb_server, nothing, tell_once):
        first, *_ = await tell_once(sound)
        left = await told(sound)
        assert keys(first)[0] in left
        assert len(left) <= 2


async def test_whoever_was_too_early_for_a_half_done_post_is_told_again(
    mongodb_server: MongoServer,
) -> None:
    async for sound in moments(mongodb_server, nothing, tell_once):
        sound.clock.advance(s=HELD_S)
        early = await take(sound)
        got = await sound.get(*(int(key, 16) for key in early))
        for key in early:
            await forget(sound, key)
        first, *_ = await tell_once(sound)
        noticed = [message.seq for message in got]
        assert first in noticed or await told(sound) == keys(first)


async def three_messages(queue: QueueHandle) -> None:
    await queue.post(*new_messages(3))


async def claim(queue: QueueHandle) -> Claim | None:
    return await queue.claim(2, idempotency=idempotency())


async def test_a_keyed_claim_that_is_repeated_after_a_crash_holds_its_messages_once(
    mongodb_server: MongoServer,
) -> None:
    async for sound in moments(mongodb_server, three_messages, claim):
        first = await claim(sound)
        assert first is not None
        assert [message.body for message in first.messages] == [b"0", b"1"]
        assert await claim(sound) == first
        assert await sound.counts() == (2, 3)


async def an_exhausted_message_and_a_fresh_one(queue: QueueHandle) -> None:
    await queue.post(new_message("exhausted"))
    claimed = await queue.claim_some()
    await queue.release(claimed.id)
    await queue.post(new_message("fresh"))


async def claim_with_policy(queue: QueueHandle) -> Claim | None:
    return await queue.claim(dead_letter=POLICY)


async def test_an_interrupted_move_is_finished_by_the_sweep_and_never_doubled(
    mongodb_server: MongoServer,
) -> None:
    prepare = an_exhausted_message_and_a_fresh_one
    async for sound in moments(mongodb_server, prepare, claim_with_policy):
        await sound.sweep_all()
        sound.clock.advance(s=120)  # the lease of a claim whose answer was lost ends
        await sound.claim(dead_letter=POLICY._replace(max_claims=2))
        await sound.sweep_all()
        dead = await sound.on(queue="dead").everything()
        alive = await sound.everything()
        assert sorted(message.body for message in dead + alive) == [b"exhausted", b"fresh"]
        for letter in dead:
            assert letter.dead_letter is not None
            assert letter.dead_letter.queue == "orders"


async def test_who_waits_for_letters_hears_of_those_that_the_sweep_brings(
    mongodb_server: MongoServer,
) -> None:
    prepare = an_exhausted_message_and_a_fresh_one
    async for sound in moments(mongodb_server, prepare, claim_with_policy):
        dead, ear = sound.on(queue="dead"), Ear(sound.storage)
        await dead.pop(10)
        await ear.watch(queue_topic("dead"))
        await sound.sweep_all()
        if await dead.pop(10):
            assert queue_topic("dead") in ear.heard


async def test_a_move_is_not_repeated_after_the_letter_was_consumed(
    mongodb_server: MongoServer,
) -> None:
    prepare = an_exhausted_message_and_a_fresh_one
    async for sound in moments(mongodb_server, prepare, claim_with_policy):
        dead = sound.on(queue="dead")
        consumed = await dead.pop(10)
        await sound.sweep_all()
        if consumed:
            assert await dead.everything() == []


async def post_and_purge(queue: QueueHandle) -> None:
    await queue.post(*new_messages(3))
    await queue.purge()


async def test_a_sweep_that_dies_does_not_stop_the_next_ones(
    mongodb_server: MongoServer,
) -> None:
    async for sound in moments(mongodb_server, post_and_purge, QueueHandle.sweep):
        await sound.sweep_all()
        assert await sound.sweep() == 0
