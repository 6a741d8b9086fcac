"""Every command is on an index, none scans a collection or sorts in memory (promise 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pymongo import IndexModel

from queues.model import CredentialKind, Rate, Record, RecordKind, Topic, TopicKind
from tests.conformance.ear import Ear
from tests.conformance.handle import QueueHandle
from tests.conformance.project import ProjectHandle
from tests.drivers.mongodb_outbox import post_and_tell
from tests.drivers.mongodb_plans import (
    DECLARED,
    Query,
    bad_stages,
    explainable,
    index_of,
    queries,
)
from tests.drivers.mongodb_recorder import Command, used_queue
from tests.drivers.mongodb_storage import store_url
from tests.factories import dead_letters, idempotency, new_message, new_messages
from tests.servers.mongodb import connect, external_mongodb

pytestmark = pytest.mark.mongodb

DAY_S = 86_400


@pytest.fixture
def mongodb_url(request: pytest.FixtureRequest) -> str:
    return store_url(request)


@pytest.fixture
async def commands(mongodb_url: str) -> AsyncIterator[list[Command]]:
    """Use everything that the driver can do, and give the commands that it took."""
    async with used_queue(mongodb_url) as (queue, commands):
        await use_queues(queue)
        await use_messages(queue)
        await use_claims(queue)
        await come_too_late(queue)
        await use_credentials(ProjectHandle(queue.storage, queue.clock))
        await use_quotas(ProjectHandle(queue.storage, queue.clock))
        await use_records(queue)
        await use_wakeups(queue)
        await leave_much_to_sweep(queue)
    yield commands
    with connect(mongodb_url) as connection:
        connection.drop_database(connection.get_default_database().name)


async def use_queues(queue: QueueHandle) -> None:
    await queue.on(queue="others").create()
    await queue.describe()
    await queue.update(b"[]", expected_version=1, version=1)
    await queue.storage.queues.list(queue.project, marker="a", limit=10)
    await queue.storage.queues.count(queue.project)
    await queue.stats()


async def use_messages(queue: QueueHandle) -> None:
    seqs = await queue.post(*new_messages(10))
    for _ in range(2):
        await queue.post(*new_messages(3), idempotency=idempotency())
    await post_and_tell(queue, new_message())
    for limit in (1, 10, 100):
        await queue.page(limit=limit)
        await queue.page(limit=limit, after=seqs[3], claimed=True, but_of="me")
        await queue.page(limit=limit, claimed=True, delayed=True)
    await queue.get(*seqs)
    await queue.delete(seqs[0])
    await queue.delete(*seqs[1:4], claim_ids=[])
    await queue.pop(3)
    await queue.storage.messages.tail(queue.project, queue.queue)
    await queue.storage.messages.next_due(queue.project, queue.queue, now_ms=queue.now_ms)


async def use_claims(queue: QueueHandle) -> None:
    claim = await queue.claim_some(2)
    await queue.get_claim(claim.id)
    await queue.renew(claim.id, idempotency=idempotency("renewal"))
    await queue.delete(claim.messages[0].seq, claim_ids=[claim.id])
    await queue.delete(claim.messages[1].seq, claim_ids=["another"])
    await queue.release(claim.id)
    await queue.hold(claim.messages[1].seq)
    for _ in range(2):
        await queue.claim(2, idempotency=idempotency("claim"))


async def come_too_late(queue: QueueHandle) -> None:
    """Find expired messages, ended leases and exhausted messages."""
    await queue.post(new_message(ttl_s=60), new_message(delay_s=30))
    await queue.claim(2, lease_s=60)
    queue.clock.advance(s=61)
    for _ in range(3):
        await queue.claim(5, lease_s=60, dead_letter=dead_letters())
        queue.clock.advance(s=61)


async def use_credentials(alpha: ProjectHandle) -> None:
    for uses_left in (1, None):
        await alpha.add(f"id-{uses_left}", uses_left=uses_left)
        await alpha.get(f"id-{uses_left}")
        await alpha.spend(f"id-{uses_left}")
    await alpha.page(CredentialKind.TOKEN, marker="id-0")
    await alpha.revoke("id-1")
    await alpha.all_revocations()


async def use_quotas(alpha: ProjectHandle) -> None:
    quotas = alpha.storage.quotas
    await quotas.put("alpha", b"{}")
    await quotas.get("alpha")
    for marker in (None, "", "a"):
        await quotas.list(marker=marker, limit=10)
    await quotas.delete("alpha")
    await alpha.usage()
    for _ in range(2):
        await alpha.take(3, Rate(1, 10))


async def use_records(queue: QueueHandle) -> None:
    records, now_ms = queue.storage.records, queue.now_ms
    place = (queue.project, RecordKind.CURSOR, queue.queue)
    made = Record(*place[1:], "key", b"{}", 7, due_ms=now_ms, expires_ms=now_ms + 60_000)
    await records.create(queue.project, made, now_ms=now_ms)
    await records.get(*place, "key", now_ms=now_ms)
    await records.list(*place, prefix="k", marker="", limit=10, now_ms=now_ms)
    *_, (_, taken) = await records.take(limit=10, lease_ms=1000, now_ms=now_ms)
    await records.replace(queue.project, taken, now_ms=now_ms)
    await records.delete(*place, "key", version=7, now_ms=now_ms)


async def use_wakeups(queue: QueueHandle) -> None:
    """Ask, as there is nothing to be seen of a change stream, and tell."""
    queue.storage.db.streams = False  # type: ignore[attr-defined]
    topic = Topic(queue.project, TopicKind.QUEUE, queue.queue)
    ear = Ear(queue.storage)
    await ear.watch(topic)
    queue.storage.wakeups.tell(topic)
    await ear.hears(topic)


async def leave_much_to_sweep(queue: QueueHandle) -> None:
    await queue.post(*new_messages(3, ttl_s=60), *new_messages(3, delay_s=30))
    queue.clock.advance(s=61)
    await queue.sweep_all()
    await queue.post(*new_messages(3))
    await queue.purge()
    await queue.post(*new_messages(3))
    await queue.drop()
    await queue.sweep_all()
    queue.clock.advance(s=DAY_S)
    await queue.sweep_all()


def searches(commands: list[Command]) -> list[Query]:
    return [query for command in commands for query in queries(command)]


async def test_every_command_is_on_an_index(commands: list[Command]) -> None:
    assert {query.collection for query in searches(commands)} == set(DECLARED)
    for query in searches(commands):
        assert index_of(query), query


async def test_every_index_is_of_use(commands: list[Command]) -> None:
    used = {index_of(query) for query in searches(commands)}
    declared = {index.document["name"] for some in DECLARED.values() for index in some}
    assert declared <= used


async def test_without_an_index_some_command_is_on_none(commands: list[Command]) -> None:
    for collection, some in DECLARED.items():
        for lost in some:
            left = {**DECLARED, collection: [index for index in some if index is not lost]}
            assert not all(index_of(query, left) for query in searches(commands)), lost.document


@pytest.mark.skipif(external_mongodb() is None, reason="nx-27017 has no plans of MongoDB")
async def test_mongodb_itself_neither_scans_nor_sorts(
    mongodb_url: str, commands: list[Command]
) -> None:
    with connect(mongodb_url) as connection:
        database = connection.get_default_database()
        for command in commands:
            for one in explainable(command):
                plan = database.command("explain", one, verbosity="queryPlanner")
                assert not bad_stages(plan), one


@pytest.mark.parametrize(
    ("where", "sort"),
    [
        ({"client": "me"}, {}),
        ({"b": "x", "client": "me"}, {}),
        ({"b": "x", "claim": "c"}, {"seq": 1}),
        ({"b": "x", "visible": 0}, {"expires": 1}),
        ({"b": "x"}, {"_id": 1}),
        ({"visible": {"$lte": 5}}, {"visible": 1}),
        ({"expires": {"$gt": 5}}, {"seq": 1}),
        ({}, {"_id": 1}),
    ],
)
def test_a_query_that_no_index_bounds_or_orders_is_noticed(
    where: dict[str, object], sort: dict[str, int]
) -> None:
    assert index_of(Query("messages", where, sort)) is None


def test_a_scan_or_a_sort_in_a_plan_is_noticed() -> None:
    scan = {"stage": "FETCH", "inputStage": {"stage": "COLLSCAN"}}
    plan = {"stages": [{"$cursor": {"queryPlanner": {"winningPlan": scan}}}]}
    assert bad_stages(plan) == {"COLLSCAN"}
    assert bad_stages({"winningPlan": {"stage": "IXSCAN"}, "rejectedPlans": [scan]}) == set()


def test_the_index_of_ids_needs_no_declaration() -> None:
    some = {"messages": [IndexModel([("expires", 1)], name="expired")]}
    assert index_of(Query("messages", {"_id": "x", "b": "y"}, {}), some) == "_id_"
