"""Who may subscribe, and how long what was made with a credential lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.identity.conftest import Start
from tests.transport.notified import PATH, received
from tests.transport.receiver import OK, Receiver, receiving, says
from tests.transport.service import Service

ALONE = {"X-Project-ID": None, "Client-ID": None}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving(says(OK)) as one:
        yield one


@pytest.fixture
async def service(start: Start) -> Service:
    running_service: Service = await start(webhook_allow="127.0.0.0/8")
    return running_service


async def token(service: Service, **wanted: Any) -> tuple[str, dict[str, str | None]]:
    document = {"operations": ["subscribe"], "queues": ["q"], "ttl": 600, **wanted}
    answer = await service.post("/v2/tokens", document)
    assert answer.status == 201, answer.content
    return answer.json["id"], {**ALONE, "X-Auth-Token": answer.json["token"]}


async def test_a_token_makes_nothing_that_outlives_it(service: Service) -> None:
    _, bearer = await token(service)
    wanted = {"subscriber": "http://fake:8080/"}
    answer = await service.post(PATH, {**wanted, "ttl": 601}, headers=bearer)
    assert answer.error == (400, "Invalid API request")
    assert "outlive" in answer.json["description"]
    answer = await service.post(PATH, wanted, headers=bearer)
    made = f"{PATH}/{answer.json['subscription_id']}"
    assert (await service.get(made)).json["ttl"] == 600
    for change, status in (({"ttl": 601}, 400), ({"ttl": 300}, 204), ({"options": {}}, 204)):
        assert (await service.patch(made, change, headers=bearer)).status == status


async def test_a_token_does_not_lead_a_longer_subscription_elsewhere(service: Service) -> None:
    wanted = {"subscriber": "http://fake:8080/", "ttl": 6000}
    made = f"{PATH}/{(await service.post(PATH, wanted)).json['subscription_id']}"
    _, bearer = await token(service)
    moved = {"subscriber": "http://fake:8080/mine"}
    assert (await service.patch(made, moved, headers=bearer)).error[0] == 400
    moved["ttl"] = 60
    assert (await service.patch(made, moved, headers=bearer)).status == 204


async def test_what_a_revoked_token_has_made_hears_nothing_more(
    service: Service, receiver: Receiver
) -> None:
    token_id, bearer = await token(service)
    await service.post(PATH, {"subscriber": receiver.url()}, headers=bearer)
    await service.post(PATH, {"subscriber": receiver.url(path="/own")})
    await service.post_bodies("q", 1)
    await received(receiver, 2)
    await service.delete(f"/v2/tokens/{token_id}")
    await service.post_bodies("q", 2)
    await received(receiver, 3)
    await asyncio.sleep(0)
    assert [one.path for one in receiver.received].count("/own") == 2
    assert len(receiver.received) == 3


async def test_what_a_revoked_token_has_led_elsewhere_hears_nothing_more(
    service: Service, receiver: Receiver
) -> None:
    wanted = {"subscriber": receiver.url(path="/before"), "ttl": 60}
    made = f"{PATH}/{(await service.post(PATH, wanted)).json['subscription_id']}"
    await service.post(PATH, {"subscriber": receiver.url(path="/own")})
    token_id, bearer = await token(service)
    moved = {"subscriber": receiver.url(path="/after")}
    assert (await service.patch(made, moved, headers=bearer)).status == 204
    await service.delete(f"/v2/tokens/{token_id}")
    await service.post_bodies("q", 1)
    await received(receiver)
    assert [one.path for one in receiver.received] == ["/own"]


async def test_a_signed_url_may_allow_to_subscribe(service: Service) -> None:
    wanted = {"paths": ["subscriptions"], "methods": ["POST", "GET"]}
    share = (await service.post("/v2/queues/q/share", wanted)).json
    signed = {
        "Client-ID": None,
        "URL-Signature": share["signature"],
        "URL-Paths": ",".join(share["paths"]),
        "URL-Methods": ",".join(share["methods"]),
        "URL-Expires": share["expires"],
    }
    answer = await service.post(PATH, {"subscriber": "http://fake:8080/"}, headers=signed)
    made = f"{PATH}/{answer.json['subscription_id']}"
    assert (await service.get(made, headers=signed)).status == 200
    for call in (
        service.delete(made, headers=signed),
        service.put(f"{made}/confirm", {"confirmed": True}, headers=signed),
        service.get(f"{made}/deliveries", headers=signed),
        service.get("/v2/queues/r/subscriptions", headers=signed),
    ):
        assert (await call).status == 404


async def test_another_project_reaches_nothing_of_a_subscription(service: Service) -> None:
    answer = await service.post(PATH, {"subscriber": "http://fake:8080/"})
    made, other = f"{PATH}/{answer.json['subscription_id']}", {"X-Project-ID": "p2"}
    for call in (
        service.get(made, headers=other),
        service.patch(made, {"ttl": 60}, headers=other),
        service.put(f"{made}/confirm", {"confirmed": True}, headers=other),
        service.get(f"{made}/deliveries", headers=other),
        service.post(f"{made}/replay", {"state": "failed"}, headers=other),
    ):
        assert (await call).error == (404, "Not found")
    assert (await service.delete(made, headers=other)).status == 204
    assert (await service.get(PATH, headers=other)).json["subscriptions"] == []
    assert (await service.get(made)).status == 200
