"""A store that fails is a 503 that says when to come back; a mistake of ours is a bare 500."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from queues.config import Settings
from queues.errors import ClaimLost, IdempotencyKeyReused, NuskuError, StorageUnavailable
from storage_drivers import open_storage
from tests.clock import MovableClock
from tests.transport.faults import FaultyStorage
from tests.transport.service import MSGPACK, PATCH, Service, running

SECRET = "redis://user:hunter2@db.internal:6379 refused the connection"
DOWN = (503, "Service temporarily unavailable")
BROKEN = (500, "Internal server error")
POST = {"messages": [{"body": 1}]}

# Every call that reaches the store.
CALLS: dict[str, tuple[str, str, object]] = {
    "ping": ("GET", "/v2/ping", ...),
    "health": ("GET", "/v2/health", ...),
    "list queues": ("GET", "/v2/queues", ...),
    "count queues": ("GET", "/v2/queues?with_count=1&limit=1", ...),
    "create a queue": ("PUT", "/v2/queues/q", ...),
    "show a queue": ("GET", "/v2/queues/q", ...),
    "patch a queue": ("PATCH", "/v2/queues/q", []),
    "delete a queue": ("DELETE", "/v2/queues/q", ...),
    "count messages": ("GET", "/v2/queues/q/stats", ...),
    "purge": ("POST", "/v2/queues/q/purge", ...),
    "post": ("POST", "/v2/queues/q/messages", POST),
    "list messages": ("GET", "/v2/queues/q/messages", ...),
    "get messages": ("GET", "/v2/queues/q/messages?ids={id}", ...),
    "delete messages": ("DELETE", "/v2/queues/q/messages?ids={id}", ...),
    "pop": ("DELETE", "/v2/queues/q/messages?pop=1", ...),
    "get a message": ("GET", "/v2/queues/q/messages/{id}", ...),
    "delete a message": ("DELETE", "/v2/queues/q/messages/{id}", ...),
    "claim": ("POST", "/v2/queues/q/claims", ...),
    "show a claim": ("GET", "/v2/queues/q/claims/c", ...),
    "renew": ("PATCH", "/v2/queues/q/claims/c", {}),
    "release": ("DELETE", "/v2/queues/q/claims/c", ...),
}


@pytest.fixture
def storage(tmp_path: Path) -> FaultyStorage:
    return FaultyStorage(open_storage(f"sqlite:///{tmp_path / 'nusku.db'}", timeout_ms=5000))


@pytest.fixture
async def service(storage: FaultyStorage, clock: MovableClock) -> AsyncIterator[Service]:
    async with running(storage, clock, Settings()) as running_service:
        yield running_service


@pytest.mark.parametrize("name", CALLS)
async def test_a_store_that_is_down_is_a_503_with_retry_after(
    service: Service, storage: FaultyStorage, name: str
) -> None:
    (message_id,) = await service.post_bodies("q", 1)
    method, path, document = CALLS[name]
    path = path.replace("{id}", message_id)
    headers = {"Content-Type": PATCH} if name == "patch a queue" else {}
    before = await service.state()
    storage.fail(StorageUnavailable(SECRET))
    answer = await service.call(method, path, document, headers=headers)
    assert answer.error == DOWN
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json["code"] == "storage_unavailable"
    assert_nothing_leaks(answer.content)
    storage.recover()
    assert await service.state() == before
    assert (await service.call(method, path, document, headers=headers)).status < 500


@pytest.mark.parametrize("name", CALLS)
async def test_a_mistake_of_ours_is_a_500_without_its_text(
    service: Service,
    storage: FaultyStorage,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    (message_id,) = await service.post_bodies("q", 1)
    method, path, document = CALLS[name]
    headers = {"Content-Type": PATCH} if name == "patch a queue" else {}
    storage.fail(ZeroDivisionError(SECRET))
    answer = await service.call(
        method, path.replace("{id}", message_id), document, headers=headers
    )
    assert answer.error == BROKEN
    assert_nothing_leaks(answer.content)
    assert SECRET in caplog.text


def assert_nothing_leaks(content: bytes) -> None:
    for word in (b"hunter2", b"db.internal", b"redis", b"Error", b"Traceback", b".py"):
        assert word not in content


async def test_head_on_ping_says_only_that_the_process_lives(
    service: Service, storage: FaultyStorage
) -> None:
    storage.fail(StorageUnavailable("away"))
    assert (await service.call("HEAD", "/v2/ping")).status == 204
    head = await service.call("HEAD", "/v2/queues/q")
    assert (head.status, head.headers["retry-after"]) == (503, "2")
    assert (await service.get("/v2/")).status == 200


@pytest.mark.parametrize("error", [ClaimLost("8f3a"), IdempotencyKeyReused()])
async def test_an_error_explains_itself_whatever_the_store_says_of_it(
    service: Service, storage: FaultyStorage, error: NuskuError
) -> None:
    storage.fail(error)
    answer = await service.call("PATCH", "/v2/queues/q/claims/c", {})
    assert answer.json["code"] == error.code
    assert len(answer.json["description"].split()) > 5


async def test_failures_come_in_messagepack_too(
    service: Service, storage: FaultyStorage
) -> None:
    storage.fail(StorageUnavailable("away"))
    answer = await service.get("/v2/queues", headers={"Accept": MSGPACK})
    assert (answer.status, answer.headers["content-type"]) == (503, MSGPACK)
    assert answer.msgpack["code"] == "storage_unavailable"


async def test_a_post_whose_answer_was_lost_can_be_repeated_with_its_key(
    service: Service, storage: FaultyStorage
) -> None:
    async def fail_after_commit(name: str) -> None:
        if name == "messages.post":
            raise StorageUnavailable("the connection broke after the commit")

    storage.after = fail_after_commit
    headers = {"Idempotency-Key": "k"}
    assert (await service.post("/v2/queues/q/messages", POST, headers=headers)).error == DOWN
    storage.recover()
    assert (await service.post("/v2/queues/q/messages", POST, headers=headers)).status == 201
    assert await service.bodies("q") == [1]


async def test_a_file_that_another_process_locks_is_a_503_in_bounded_time(
    tmp_path: Path, clock: MovableClock
) -> None:
    path = tmp_path / "locked.db"
    storage = open_storage(f"sqlite:///{path}", timeout_ms=300)
    async with running(storage, clock, Settings()) as locked:
        await locked.post_bodies("q", 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as foreigner:
            foreigner.execute("BEGIN IMMEDIATE")
            async with asyncio.timeout(5):
                answer = await locked.post("/v2/queues/q/messages", POST)
            assert answer.error == DOWN
            assert await locked.bodies("q") == [1]
        await locked.post_bodies("q", 2)
        assert await locked.bodies("q") == [1, 2]


async def test_the_reason_of_a_503_is_in_the_log(
    service: Service, storage: FaultyStorage, caplog: pytest.LogCaptureFixture
) -> None:
    storage.fail(StorageUnavailable("no answer in 5 s"))
    with caplog.at_level(logging.WARNING, "nusku.http"):
        answer = await service.get("/v2/queues")
    request_id = answer.headers["x-openstack-request-id"]
    text = f"{request_id} GET /v2/queues: store unavailable: no answer in 5 s"
    assert text in caplog.text
