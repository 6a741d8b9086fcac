"""Wake-ups: whoever watches hears of what happens after, in every process, in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from queues.model import Topic
from queues.storage import Storage
from tests.conformance.collisions import PLACES
from tests.conformance.ear import LATEST_S, Ear, queue_topic, signal_topic
from tests.conformance.handle import QueueHandle
from tests.conformance.harness import Harness
from tests.factories import dead_letters, new_messages

TIMEOUT_MS = 500
SLACK_S = 2

#: Something that can happen, and the topic that it is about.
Event = tuple[Callable[[], Awaitable[object]], Topic]


@pytest.fixture
def ear(storage: Storage) -> Ear:
    return Ear(storage)


@pytest.fixture
async def other(orders: QueueHandle, harness: Harness) -> QueueHandle:
    """The queue `orders` through another process's worth of storage."""
    return orders.on(storage=await harness.another())


@pytest.fixture(params=["here", "elsewhere"])
async def actor(
    request: pytest.FixtureRequest, orders: QueueHandle, other: QueueHandle
) -> QueueHandle:
    return orders if request.param == "here" else other


async def a_post(orders: QueueHandle) -> Event:
    return orders.post, queue_topic("orders")


async def a_release(orders: QueueHandle) -> Event:
    await orders.post()
    claim = await orders.claim_some()
    return lambda: orders.release(claim.id), queue_topic("orders")


async def a_renewal(orders: QueueHandle) -> Event:
    await orders.post()
    claim = await orders.claim_some()
    return lambda: orders.renew(claim.id, lease_s=1), queue_topic("orders")


async def a_dead_letter(orders: QueueHandle) -> Event:
    await orders.post()
    claim = await orders.claim_some()
    await orders.release(claim.id)
    return lambda: orders.claim(dead_letter=dead_letters()), queue_topic("dead")


async def a_word(orders: QueueHandle) -> Event:
    topic = signal_topic("ready")

    async def tell() -> None:
        orders.storage.wakeups.tell(topic)

    return tell, topic


@pytest.mark.parametrize("event", [a_post, a_release, a_renewal, a_dead_letter, a_word])
async def test_what_happens_is_heard_in_every_process(
    ear: Ear, actor: QueueHandle, event: Callable[[QueueHandle], Awaitable[Event]]
) -> None:
    happen, topic = await event(actor)
    await ear.watch(topic)
    await happen()
    await ear.hears(topic)
    assert ear.threads == {threading.get_ident()}


async def test_what_can_be_told_of_a_signal_can_be_told_of_a_queue(
    ear: Ear, actor: QueueHandle
) -> None:
    topics = [queue_topic("absent"), signal_topic("orders"), signal_topic("", "")]
    await ear.watch(*topics)
    for topic in topics:
        actor.storage.wakeups.tell(topic)
        await ear.hears(topic)


async def test_all_processes_that_watch_hear_it(
    ear: Ear, other: QueueHandle, harness: Harness
) -> None:
    ears = [ear, Ear(other.storage), Ear(await harness.another())]
    for each in ears:
        await each.watch(queue_topic("orders"))
    await other.post()
    for each in ears:
        await each.hears(queue_topic("orders"))


async def test_nothing_is_missed_that_happens_after_watch_returned(
    ear: Ear, actor: QueueHandle
) -> None:
    names = [f"queue-{number}" for number in range(40)]
    for name in names:
        await actor.on(queue=name).create()

    async def watch_and_act(name: str) -> None:
        await ear.watch(signal_topic(name))
        actor.storage.wakeups.tell(signal_topic(name))
        await ear.watch(queue_topic(name))
        await actor.on(queue=name).post()

    await asyncio.gather(*map(watch_and_act, names))
    await ear.hears(*map(queue_topic, names), *map(signal_topic, names))


async def test_nothing_is_missed_when_watching_begins_again_and_again(
    ear: Ear, actor: QueueHandle
) -> None:
    topic = queue_topic("orders")
    for _ in range(5):
        await ear.watch(topic)
        await actor.post()
        await ear.hears(topic)
        await ear.wakeups.forget(topic)


async def test_who_begins_to_watch_while_another_forgets_hears_it(
    ear: Ear, actor: QueueHandle
) -> None:
    topics = [signal_topic(f"{number}") for number in range(20)]
    await ear.watch(*topics)
    await asyncio.gather(
        *(ear.wakeups.forget(topic) for topic in topics),
        *(ear.wakeups.watch(topic) for topic in topics),
    )
    for topic in topics:
        actor.storage.wakeups.tell(topic)
    await ear.hears(*topics)


async def test_who_looks_after_each_hint_finds_everything(
    ear: Ear, orders: QueueHandle, other: QueueHandle
) -> None:
    await ear.watch(queue_topic("orders"))

    async def write(writer: int) -> list[int]:
        seqs: list[int] = []
        for number in range(10):
            seqs += await (orders, other)[writer % 2].post(*new_messages(1 + number % 3))
            await asyncio.sleep(0)
        return seqs

    writing = asyncio.gather(*map(write, range(4)))
    found: list[int] = []
    while len(found) < 4 * 19:
        await ear.hint()
        while page := await orders.listed(after=max(found, default=0), limit=5):
            found += page
    assert found == sorted(seq for seqs in await writing for seq in seqs)


async def test_who_forgot_hears_no_more(ear: Ear, actor: QueueHandle) -> None:
    forgotten, kept = signal_topic("forgotten"), signal_topic("kept")
    await ear.watch(forgotten, kept)
    await ear.watch(forgotten)
    await ear.wakeups.forget(forgotten)
    await ear.wakeups.forget(forgotten)
    await ear.wakeups.forget(signal_topic("never watched"))
    for _ in range(10):
        actor.storage.wakeups.tell(forgotten)
    actor.storage.wakeups.tell(kept)
    await ear.hears(kept)
    assert forgotten not in ear.heard


async def test_no_topic_is_taken_for_another(ear: Ear, other: QueueHandle) -> None:
    topics = [queue_topic(name, project) for project, name in PLACES]
    topics += [signal_topic(name, project) for project, name in PLACES]
    await ear.watch(*topics)
    for number, told in enumerate(topics, start=1):
        other.storage.wakeups.tell(told)
        await ear.hears(told)
        assert set(ear.heard) <= {*topics[:number], None}


async def test_a_post_is_heard_of_in_its_project_and_queue(
    ear: Ear, other: QueueHandle
) -> None:
    queues = [other.on(project=project, queue=name) for project, name in PLACES]
    topics = [queue_topic(name, project) for project, name in PLACES]
    for queue in queues:
        await queue.create()
    await ear.watch(*topics)
    for number, queue in enumerate(queues):
        await queue.post()
        await ear.hears(topics[number])
        assert set(ear.heard) <= {*topics[: number + 1], None}


async def test_after_an_outage_everything_is_hinted_at(
    ear: Ear, orders: QueueHandle, other: QueueHandle, harness: Harness
) -> None:
    if not harness.backend.can_restart:
        pytest.skip("the store is no process of ours")
    await ear.watch(queue_topic("orders"))
    async with harness.outage():
        await asyncio.wait_for(ear.watch(signal_topic("ready")), timeout=LATEST_S)
        other.storage.wakeups.tell(signal_topic("ready"))
    await ear.hears(queue_topic("orders"), signal_topic("ready"))
    for number in range(3):
        await other.on(queue=f"queue-{number}").create()
        await ear.watch(queue_topic(f"queue-{number}"))
        await other.on(queue=f"queue-{number}").post()
        await ear.hears(queue_topic(f"queue-{number}"))
    assert await orders.post()


async def test_telling_and_watching_never_fail(
    orders: QueueHandle, other: QueueHandle, harness: Harness
) -> None:
    if not harness.backend.can_fail:
        pytest.skip("this store cannot be made to fail")
    hasty = Ear(await harness.another(timeout_ms=TIMEOUT_MS))
    ear = Ear(other.storage)
    topics = [signal_topic(f"{number}") for number in range(5)]
    await ear.watch(*topics)
    async with harness.outage():
        async with asyncio.timeout(TIMEOUT_MS / 1000 + SLACK_S):
            await hasty.watch(queue_topic("orders"), *topics)
            await hasty.wakeups.forget(topics[0])
        for topic in topics:
            hasty.wakeups.tell(topic)
    await ear.hears(*topics)
    await orders.post()
    await hasty.hears(queue_topic("orders"))


async def test_watching_gives_up_on_a_store_that_hangs(
    orders: QueueHandle, harness: Harness
) -> None:
    if not harness.backend.can_restart:
        pytest.skip("the store is no process of ours")
    hasty = Ear(await harness.another(timeout_ms=TIMEOUT_MS))
    with harness.hang():
        async with asyncio.timeout(TIMEOUT_MS / 1000 + SLACK_S):
            await hasty.watch(queue_topic("orders"))
            await hasty.wakeups.forget(signal_topic("never watched"))
        hasty.wakeups.tell(queue_topic("orders"))
    await hasty.hears(queue_topic("orders"))
    await orders.post()


async def test_a_closed_instance_hears_nothing_and_tells_nothing(
    ear: Ear, other: QueueHandle, harness: Harness
) -> None:
    closing = await harness.another()
    closed = Ear(closing)
    topics = [signal_topic(f"{number}") for number in range(100)]
    await asyncio.gather(closed.watch(*topics), ear.watch(*topics))
    await asyncio.wait_for(harness.close(closing), timeout=LATEST_S)
    before = list(closed.heard)
    closed.wakeups.tell(topics[0])
    for topic in topics[1:]:
        other.storage.wakeups.tell(topic)
    await ear.hears(*topics[1:])
    assert closed.heard == before
