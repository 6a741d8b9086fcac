"""Fixtures of the conformance suite: every test that uses `harness` runs on every store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from queues.limits import Limits
from queues.operations import Operations
from queues.storage import Storage
from tests.clock import MovableClock
from tests.conformance.backends import (
    Backend,
    MongoBackend,
    RedisBackend,
    ReferenceBackend,
    SealedBackend,
    SqliteBackend,
)
from tests.conformance.handle import QueueHandle
from tests.conformance.harness import Harness
from tests.conformance.project import ProjectHandle
from tests.conformance.records import RecordsHandle
from tests.factories import new_message
from tests.operations.receivers import Post, process
from tests.servers.mongodb import external_mongodb
from tests.transport.faults import FaultyStorage

STORES = [
    pytest.param("reference", id="reference"),
    pytest.param("sqlite", id="sqlite"),
    pytest.param("sqlite-sealed", id="sqlite-sealed"),
    pytest.param("redis", id="redis", marks=pytest.mark.redis),
    pytest.param("redis-cluster", id="redis-cluster", marks=pytest.mark.redis),
    pytest.param("mongodb", id="mongodb", marks=pytest.mark.mongodb),
]

#: What encryption passes on as it is, or cannot make slower with depth.
_BENEATH_ENCRYPTION = {
    "test_credentials.py",
    "test_depth.py",
    "test_ledger_errors.py",
    "test_quotas.py",
    "test_record_depth.py",
    "test_record_names.py",
    "test_revocations.py",
    "test_sealed_messages.py",
    "test_tenancy.py",
    "test_token_buckets.py",
    "test_usage.py",
    "test_usage_history.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [
        item
        for item in items
        if "sqlite-sealed" not in item.name or item.path.name not in _BENEATH_ENCRYPTION
    ]


@pytest.fixture(scope="session", params=STORES)
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "reference":
        return ReferenceBackend()
    if request.param == "sqlite":
        return SqliteBackend()
    if request.param == "sqlite-sealed":
        return SealedBackend()
    if request.param == "redis":
        return RedisBackend("redis", request.getfixturevalue("redis_server"))
    if request.param == "redis-cluster":
        return RedisBackend("redis-cluster", request.getfixturevalue("redis_cluster"))
    if url := external_mongodb():
        return MongoBackend(url, None)
    server = request.getfixturevalue("mongodb_server")
    return MongoBackend(server.url, server)


@pytest.fixture
async def harness(backend: Backend, tmp_path: Path) -> AsyncIterator[Harness]:
    harness = Harness(backend, tmp_path)
    try:
        yield harness
    finally:
        await harness.close_all()


@pytest.fixture
async def storage(harness: Harness) -> Storage:
    return await harness.another()


@pytest.fixture
async def orders(storage: Storage, clock: MovableClock) -> QueueHandle:
    """The queue `orders` of the project `alpha`, created and empty."""
    handle = QueueHandle(storage, clock)
    await handle.create()
    return handle


@pytest.fixture
async def records(storage: Storage, clock: MovableClock) -> RecordsHandle:
    """The cursors in the scope `orders` of the project `alpha`; that queue need not exist."""
    return RecordsHandle(storage, clock)


@pytest.fixture
async def alpha(storage: Storage, clock: MovableClock) -> ProjectHandle:
    """The project `alpha`, empty."""
    alpha = ProjectHandle(storage, clock)
    if not storage.capabilities.encrypts:
        return alpha
    trial = await alpha.on(project="trial").queue("trial")
    await trial.post(new_message(b""))
    usage = await storage.quotas.usage("trial", now_ms=clock.now_ms())
    return alpha.on(envelope_bytes=usage.body_bytes)


@pytest.fixture
async def twins(alpha: ProjectHandle, harness: Harness) -> list[ProjectHandle]:
    """The project `alpha`, through two processes' worth of storage."""
    return [alpha, alpha.on(storage=await harness.another())]


@pytest.fixture
def faulty(storage: Storage) -> FaultyStorage:
    """The store of the first of two server processes, to be disturbed."""
    return FaultyStorage(storage)


@pytest.fixture
async def other_faulty(harness: Harness) -> FaultyStorage:
    return FaultyStorage(await harness.another())


@pytest.fixture
def operations(faulty: FaultyStorage, clock: MovableClock) -> Operations:
    return Operations(faulty, Limits(), clock)


@pytest.fixture
def elsewhere(other_faulty: FaultyStorage, clock: MovableClock) -> Operations:
    """The operations of another server process on the same store."""
    return Operations(other_faulty, Limits(), clock)


@pytest.fixture
def post_office() -> Post:
    return Post()


@pytest.fixture
def sender(faulty: FaultyStorage, clock: MovableClock, post_office: Post) -> Operations:
    """A process that sends through the post office."""
    return process(faulty, clock, post_office)


@pytest.fixture
def other_sender(
    other_faulty: FaultyStorage, clock: MovableClock, post_office: Post
) -> Operations:
    return process(other_faulty, clock, post_office)
