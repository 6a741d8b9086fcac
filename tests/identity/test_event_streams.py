"""Streams of events end with what lets somebody listen."""

from __future__ import annotations

import asyncio

import pytest

from tests.clock import MovableClock
from tests.identity.conftest import Start
from tests.identity.false_keystone import answer, false_keystone, shown
from tests.identity.issuer import SigningKey
from tests.transport.listening import Listener
from tests.transport.service import Service
from transport import event_streams

ALL = "/v2/queues/q/messages?echo=true"


@pytest.fixture(autouse=True)
def _restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send heartbeats all the time."""
    monkeypatch.setattr(event_streams, "HEARTBEAT_S", 0.02)


@pytest.mark.parametrize("how", ["expired", "revoked"])
@pytest.mark.parametrize("posts", [True, False])
async def test_it_ends_with_an_application_token(
    service: Service, elsewhere: Service, clock: MovableClock, how: str, posts: bool
) -> None:
    made = (await service.post("/v2/tokens", {"operations": ["list"], "ttl": 60})).json
    headers = {"X-Auth-Token": made["token"]}
    async with Listener(service, ALL, headers=headers) as listener:
        assert await listener.status() == 200
        if how == "expired":
            clock.advance(s=61)
        else:
            await elsewhere.delete(f"/v2/tokens/{made['id']}")
        if posts:
            await service.post_bodies("q", "secret")
        assert await listener.event() is None


async def test_a_signed_url_is_used_once_for_a_whole_stream(service: Service) -> None:
    share = (await service.post("/v2/shares", {"queue": "q", "uses": 1})).json
    await service.post_bodies("q", 1)
    async with Listener(service, f"{share['urls']['messages']}&echo=true") as listener:
        assert await listener.event()
        await asyncio.sleep(0.1)
        await service.post_bodies("q", 2)
        assert await listener.event()
        await service.delete(f"/v2/shares/{share['id']}")
        assert await listener.event() is None


async def test_it_ends_with_the_token_of_an_identity_provider(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    token = issuer_key.token(clock, exp=clock.now_ms() // 1000 + 60)
    headers = {"Authorization": f"Bearer {token}"}
    async with Listener(guarded, ALL, headers=headers) as listener:
        assert await listener.status() == 200
        await asyncio.sleep(0.1)
        clock.advance(s=120)
        assert await listener.event() is None
        assert listener.heartbeats > 0


async def test_nobody_listens_without_proof(guarded: Service) -> None:
    async with Listener(guarded, ALL) as listener:
        assert await listener.status() == 401


async def test_what_came_while_nobody_could_tell_who_listens_is_not_left_out(
    start: Start, service: Service, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "_RETRY_S", 0.02)
    async with false_keystone() as keystone:
        strict = await start(
            auth_strategy="keystone",
            keystone_url=keystone.url,
            keystone_user="nusku",
            keystone_password="pw",
        )
        async with Listener(strict, ALL, headers={"X-Auth-Token": "t" * 32}) as listener:
            assert await listener.status() == 200
            keystone.validation = answer(500, b"{}")
            clock.advance(s=3600)
            (posted,) = await service.post_bodies("q", 1)
            await listener.quiet(pieces=10)
            keystone.validation = shown()
            clock.advance(s=60)
            event = await listener.event()
            assert event is not None
            assert event.id == posted
