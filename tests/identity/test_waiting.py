"""Requests that wait get nothing with a credential that ended meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from queues.config import Settings
from storage_drivers import open_storage
from tests.clock import MovableClock
from tests.identity.issuer import SigningKey
from tests.transport.faults import FaultyStorage
from tests.transport.service import Service, running

QUEUE = "/v2/queues/q"
WAITING = {
    "claim": ("POST", f"{QUEUE}/claims?wait=30"),
    "list": ("GET", f"{QUEUE}/messages?echo=true&wait=30"),
    "pop": ("DELETE", f"{QUEUE}/messages?pop=1&wait=30"),
    "cursor": ("GET", f"{QUEUE}/cursors/r/messages?wait=30"),
}
EACH = pytest.mark.parametrize("waiting", WAITING.values(), ids=WAITING)


@pytest.fixture(autouse=True)
async def _cursor(service: Service) -> None:
    await service.put(QUEUE)
    await service.put(f"{QUEUE}/cursors/r")


async def assert_nothing_is_taken(service: Service) -> None:
    # NOTE: what was leased at that moment is given back behind the answer.
    claimed = await service.wait("POST", f"{QUEUE}/claims?wait=30")
    assert [message["body"] for message in claimed.json["messages"]] == ["secret"]


@EACH
@pytest.mark.parametrize("how", ["expired", "revoked"])
async def test_an_application_token_ends_while_its_bearer_waits(
    service: Service,
    elsewhere: Service,
    clock: MovableClock,
    how: str,
    waiting: tuple[str, str],
) -> None:
    wanted = {"operations": ["list", "claim", "delete", "cursor"], "ttl": 60}
    made = (await service.post("/v2/tokens", wanted)).json
    headers = {"X-Auth-Token": made["token"]}
    answering = asyncio.create_task(service.wait(*waiting, headers=headers))
    await asyncio.sleep(0.1)
    if how == "expired":
        clock.advance(s=61)
    else:
        await elsewhere.delete(f"/v2/tokens/{made['id']}")
    await elsewhere.post_bodies("q", "secret")
    answer = await answering
    assert answer.status == 401
    assert b"secret" not in answer.content
    await assert_nothing_is_taken(service)


async def test_a_token_of_an_identity_provider_ends_while_its_bearer_waits(
    guarded: Service, service: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    token = issuer_key.token(clock, exp=clock.now_ms() // 1000 + 60)
    headers = {"Authorization": f"Bearer {token}"}
    answering = asyncio.create_task(guarded.wait(*WAITING["claim"], headers=headers))
    await asyncio.sleep(0.1)
    clock.advance(s=120)
    await service.post_bodies("q", "secret")
    assert (await answering).status == 401
    await assert_nothing_is_taken(service)


async def test_what_was_popped_is_given_though_the_credential_ends_right_then(
    service: Service, sqlite_file: Path, tmp_path: Path, clock: MovableClock
) -> None:
    async def expire(name: str) -> None:
        if name == "messages.delete":
            clock.advance(s=61)

    made = (await service.post("/v2/tokens", {"operations": ["delete"], "ttl": 60})).json
    headers = {"X-Auth-Token": made["token"]}
    await service.post_bodies("q", "popped")
    storage = FaultyStorage(open_storage(f"sqlite:///{sqlite_file}", timeout_ms=5000))
    async with running(storage, clock, Settings(keys_file=str(tmp_path / "keys.toml"))) as one:
        storage.after = expire
        answer = await one.wait(*WAITING["pop"], headers=headers)
    assert [message["body"] for message in answer.json["messages"]] == ["popped"]


async def test_a_wait_is_one_use_of_a_signed_url(service: Service) -> None:
    share = (await service.post("/v2/shares", {"queue": "q", "uses": 1})).json
    path = f"{share['urls']['messages']}&echo=true&wait=30"
    answering = asyncio.create_task(service.wait("GET", path))
    await asyncio.sleep(0.1)
    await service.post_bodies("q", "hello")
    answer = await answering
    assert [message["body"] for message in answer.json["messages"]] == ["hello"]
    assert (await service.wait("GET", path)).status == 404
