"""Credentials and quotas on MongoDB: what is cut off or overtaken, and what calls cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from queues.errors import StorageUnavailable
from queues.model import Rate, Revocations, Usage
from storage_drivers.mongodb.indexes import MESSAGE_INDEXES
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle
from tests.conformance.project import ProjectHandle
from tests.drivers.mongodb_recorder import recorded, short
from tests.drivers.mongodb_storage import Line, fresh_url, opened, through_a_line
from tests.factories import idempotency, new_messages
from tests.servers.mongodb import MongoServer, connect

pytestmark = pytest.mark.mongodb

RATE = Rate(1, 10)
FIND, UPDATE = "find token_buckets", "update token_buckets"


@dataclass
class Store:
    """A database, and the project `alpha` in it, seen by one server process."""

    server: MongoServer
    url: str
    alpha: ProjectHandle

    @asynccontextmanager
    async def another(self) -> AsyncIterator[tuple[ProjectHandle, Line]]:
        """Open a second process, whose line to the store can be cut or held."""
        queue = QueueHandle(self.alpha.storage, self.alpha.clock)
        async with through_a_line(queue, self.server, self.url) as (shaky, line):
            yield self.alpha.on(storage=shaky.storage), line

    def documents(self, collection: str) -> int:
        with connect(self.url) as connection:
            return connection.get_default_database()[collection].count_documents({})

    async def sweep(self) -> int:
        return await self.alpha.storage.sweep(limit=100, now_ms=self.alpha.now_ms)


@pytest.fixture
async def store(mongodb_server: MongoServer) -> AsyncIterator[Store]:
    url = fresh_url(mongodb_server)
    async with opened(url) as driver:
        yield Store(mongodb_server, url, ProjectHandle(driver, MovableClock()))


@pytest.mark.parametrize("answer_lost", [False, True])
@pytest.mark.parametrize("step", [0, 1, 2])
async def test_a_revocation_cut_off_anywhere_is_known_to_all_once_one_returns(
    store: Store, step: int, answer_lost: bool
) -> None:
    alpha = store.alpha
    for credential_id in ("before", "cut off"):
        await alpha.add(credential_id)
    await alpha.revoke("before")
    known = (await alpha.all_revocations()).version
    async with store.another() as (shaky, line):
        line.cut_at(step, answer_lost=answer_lost)
        with pytest.raises(StorageUnavailable):
            await shaky.revoke("cut off")
    has_begun, is_over = step > 0 or answer_lost, step == 2 and answer_lost
    assert await alpha.revoked() == ({"before", "cut off"} if has_begun else {"before"})
    assert (await alpha.get("cut off") is None) == is_over
    assert await alpha.revoke("cut off") != is_over
    found = await alpha.revocations(known)
    assert found is not None
    assert found.ids == {"before", "cut off"}
    assert found.version > max(known, alpha.now_ms)
    assert await alpha.get("cut off") is None


async def test_whoever_sees_a_new_version_sees_the_id_at_every_step_of_a_revocation(
    store: Store,
) -> None:
    alpha = store.alpha
    for step in range(3):
        await alpha.add(f"id-{step}")
        known = (await alpha.all_revocations()).version
        async with store.another() as (slow, line):
            line.hold("update credentials", after=step)
            revoking = asyncio.create_task(slow.revoke(f"id-{step}"))
            await line.reached.wait()
            found = await alpha.revocations(known)
            assert (found is not None) == (step == 2)
            assert found is None or f"id-{step}" in found.ids
            assert await alpha.get(f"id-{step}") is not None
            line.released.set()
            assert await revoking


async def test_a_reader_overtaken_by_a_revocation_learns_of_it_by_its_next_question(
    store: Store,
) -> None:
    alpha = store.alpha
    await alpha.add("first")
    await alpha.add("second")
    await alpha.revoke("first")
    async with store.another() as (slow, line):
        line.hold("find credentials", after=1)
        reading = asyncio.create_task(slow.all_revocations())
        await line.reached.wait()
        assert await alpha.revoke("second")
        line.released.set()
        overtaken = await reading
        assert "first" in overtaken.ids
        found = await slow.revocations(overtaken.version)
        assert found is not None
        assert found.ids == {"first", "second"}


async def test_of_two_uses_of_the_last_one_the_overtaken_fails(store: Store) -> None:
    await store.alpha.add(uses_left=1)
    async with store.another() as (slow, line):
        line.hold("update credentials")
        late = asyncio.create_task(slow.spend())
        await line.reached.wait()
        assert await store.alpha.spend()
        line.released.set()
        assert not await late


@pytest.mark.parametrize("step", ["insert token_buckets", UPDATE])
async def test_a_call_that_was_overtaken_takes_what_is_left(store: Store, step: str) -> None:
    alpha = store.alpha
    if step == UPDATE:
        await alpha.take(1, Rate(1, 11))
    async with store.another() as (slow, line):
        line.hold(step)
        late = asyncio.create_task(slow.take(9, RATE))
        await line.reached.wait()
        assert await alpha.take(7, RATE) == 7
        line.released.set()
        assert await late == 3
    assert await alpha.take(9, RATE) == 0


async def test_a_call_overtaken_by_the_sweep_finds_the_bucket_full(store: Store) -> None:
    alpha = store.alpha
    await alpha.take(10, RATE)
    async with store.another() as (slow, line):
        alpha.clock.advance(s=10)
        line.hold(UPDATE)
        late = asyncio.create_task(slow.take(9, RATE))
        await line.reached.wait()
        assert await store.sweep() == 1
        line.released.set()
        assert await late == 9
    assert await alpha.take(9, RATE) == 1


async def test_calls_of_one_process_take_turns_and_none_is_in_vain(store: Store) -> None:
    await store.alpha.take(0, RATE)
    with recorded(store.url) as commands:
        taken = await asyncio.gather(*(store.alpha.take(1, RATE) for _ in range(20)))
    assert sorted(taken) == [0] * 10 + [1] * 10
    assert [short(command) for command in commands] == [FIND, UPDATE] * 20


async def test_many_processes_at_once_share_no_token_and_none_gives_up(store: Store) -> None:
    async with AsyncExitStack() as stack:
        drivers = [await stack.enter_async_context(opened(store.url)) for _ in range(6)]
        alphas = [store.alpha.on(storage=driver) for driver in drivers]
        taken = await asyncio.gather(*(each.take(1, RATE) for each in alphas * 4))
    assert sorted(taken) == [0] * 14 + [1] * 10


async def test_nobody_waits_for_a_journal_to_take_tokens(store: Store) -> None:
    with recorded(store.url) as commands:
        await store.alpha.take(1, RATE)
        await store.alpha.take(1, RATE)
        await store.alpha.add()
    inserted, updated, added = (c for c in commands if short(c)[:4] != "find")
    assert inserted["writeConcern"] == updated["writeConcern"] == {"w": 1, "j": False}
    assert added["writeConcern"] == {"w": "majority", "j": True}


READ, WRITE = "find credentials", "update credentials"
COSTS: dict[str, tuple[Callable[[ProjectHandle], Awaitable[object]], list[str]]] = {
    "add": (lambda p: p.add("new"), [WRITE]),
    "add again": (lambda p: p.add("some"), [WRITE]),
    "get": (lambda p: p.get("some"), [READ]),
    "list": (lambda p: p.page(), [READ]),
    "spend one of some": (lambda p: p.spend("some"), [WRITE]),
    "spend one of any number": (lambda p: p.spend("any"), [WRITE, READ]),
    "revoke": (lambda p: p.revoke("some"), [WRITE, WRITE, WRITE]),
    "revoke in vain": (lambda p: p.revoke("unknown"), [WRITE]),
    "revocations unchanged": (lambda p: p.revocations(0), [READ]),
    "revocations": (lambda p: p.revocations(1), [READ, READ]),
    "put quota": (lambda p: p.storage.quotas.put("alpha", b""), ["update quotas"]),
    "get quota": (lambda p: p.storage.quotas.get("alpha"), ["find quotas"]),
    "list quotas": (lambda p: p.storage.quotas.list(marker=None, limit=9), ["find quotas"]),
    "delete quota": (lambda p: p.storage.quotas.delete("alpha"), ["delete quotas"]),
    "usage": (lambda p: p.usage(), ["find queues"] + ["aggregate messages"] * 2),
    "take": (lambda p: p.take(1, RATE), [FIND, UPDATE]),
}


@pytest.mark.parametrize("name", COSTS)
async def test_a_call_costs_so_many_commands(store: Store, name: str) -> None:
    alpha, (call, expected) = store.alpha, COSTS[name]
    await alpha.queue("one")
    await alpha.queue("other")
    await alpha.add("some", uses_left=9)
    await alpha.add("any")
    await alpha.take(1, RATE)
    with recorded(store.url) as commands:
        await call(alpha)
    assert [short(command) for command in commands] == expected


async def test_usage_reads_nothing_but_keys_of_indexes(store: Store) -> None:
    queue = await store.alpha.queue("orders")
    await queue.post(*new_messages(3))
    with recorded(store.url) as commands:
        await store.alpha.usage()
    keys = {index.document["name"]: set(index.document["key"]) for index in MESSAGE_INDEXES}
    counts = [command for command in commands if short(command) == "aggregate messages"]
    assert len(counts) == 2
    for command in counts:
        match, group = command["pipeline"]
        read = {key for value in group["$group"].values() for key in fields_of(value)}
        assert set(match["$match"]) | read <= keys[command["hint"]]


def fields_of(expression: object) -> set[str]:
    """Return the fields that a part of `$group` reads."""
    named = expression["$sum"] if isinstance(expression, dict) else expression
    return {named[1:]} if isinstance(named, str) else set()


async def test_messages_count_from_the_moment_they_are_decided_to_be_stored(
    store: Store,
) -> None:
    queue = await store.alpha.queue("orders")
    async with store.another() as (slow, line):
        line.hold("update answers")
        post = queue.on(storage=slow.storage).post
        posting = asyncio.create_task(post(*new_messages(2), idempotency=idempotency()))
        await line.reached.wait()
        assert await store.alpha.usage() == Usage(1, 0, 0, 0)
        line.released.set()
        await posting
    assert await store.alpha.usage() == Usage(1, 2, 2, 0)


async def test_a_lease_that_has_ended_is_not_counted_swept_or_not(store: Store) -> None:
    queue = await store.alpha.queue("orders")
    await queue.post(*new_messages(3))
    await queue.claim_some(2, lease_s=60)
    store.alpha.clock.advance(ms=59_999)
    assert await store.alpha.usage() == Usage(1, 3, 3, 2)
    store.alpha.clock.advance(ms=1)
    assert await store.alpha.usage() == Usage(1, 3, 3, 0)


async def test_more_queues_than_fit_in_a_command_are_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage_drivers.mongodb.usage._QUEUES_PER_COMMAND", 2)
    for number in range(5):
        queue = await store.alpha.queue(f"queue-{number}")
        await queue.post(*new_messages(2))
        await queue.claim_some(1)
    assert await store.alpha.usage() == Usage(5, 10, 10, 5)


async def test_the_sweep_forgets_credentials_that_expired_but_not_the_version(
    store: Store,
) -> None:
    alpha = store.alpha
    for credential_id, ttl_s in (("old", 60), ("revoked", 60), ("new", 61)):
        await alpha.add(credential_id, ttl_s=ttl_s)
    await alpha.revoke("revoked")
    version = (await alpha.all_revocations()).version
    assert await store.sweep() == 0
    alpha.clock.advance(s=60)
    assert await store.sweep() == 2
    assert await alpha.listed() == ["new"]
    assert store.documents("credentials") == 2
    assert await alpha.all_revocations() == Revocations(version, frozenset())


async def test_the_sweep_forgets_buckets_that_are_full(store: Store) -> None:
    alpha = store.alpha
    for bucket, tokens in (("fast", 5), ("slow", 6)):
        await alpha.take(tokens, RATE, bucket=bucket)
    await alpha.take(1, Rate(0, 10), bucket="never")
    alpha.clock.advance(ms=4999)
    assert await store.sweep() == 0
    alpha.clock.advance(ms=1)
    assert await store.sweep() == 1
    assert store.documents("token_buckets") == 2
    assert await alpha.take(99, RATE, bucket="slow") == 9
