"""`/v1.1`, as far as agents in old images need it."""

from __future__ import annotations

import pytest

from tests.transport.service import Service

MESSAGES = "/v1.1/queues/q/messages"
POSTED = {"messages": [{"body": {"deploy_status_code": 0}, "ttl": 600}, {"body": 2}]}


async def test_a_post_is_like_one_of_v2_and_answers_with_old_addresses(
    service: Service,
) -> None:
    answer = await service.post(MESSAGES, POSTED)
    assert answer.status == 201
    hrefs = answer.json["resources"]
    assert [href.rpartition("/")[0] for href in hrefs] == [MESSAGES] * 2
    assert answer.headers["location"].startswith(f"{MESSAGES}?ids=")
    listed = await service.get("/v2/queues/q/messages?echo=true")
    shown = [(message["body"], message["ttl"]) for message in listed.json["messages"]]
    assert shown == [({"deploy_status_code": 0}, 600), (2, 3600)]
    assert [m["id"] for m in listed.json["messages"]] == [h.rpartition("/")[2] for h in hrefs]


async def test_a_repeated_post_stores_nothing_whichever_address_it_has(
    service: Service,
) -> None:
    key = {"Idempotency-Key": "k"}
    old = await service.post(MESSAGES, POSTED, headers=key)
    new = await service.post("/v2/queues/q/messages", POSTED, headers=key)
    assert [href.rpartition("/")[2] for href in old.json["resources"]] == [
        href.rpartition("/")[2] for href in new.json["resources"]
    ]


async def test_it_needs_the_same_headers_and_refuses_the_same(service: Service) -> None:
    for header in ("Client-ID", "X-Project-ID"):
        assert (await service.post(MESSAGES, POSTED, headers={header: None})).status == 400
    assert (await service.post(MESSAGES, {"messages": []})).status == 400
    assert (await service.post("/v1.1/queues/a~b/messages", POSTED)).status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", MESSAGES, 405),
        ("DELETE", MESSAGES, 405),
        ("GET", "/v1.1/queues/q", 404),
        ("POST", "/v1.1/queues/q/claims", 404),
        ("POST", "/v1/queues/q/messages", 404),
    ],
)
async def test_there_is_nothing_else(
    service: Service, method: str, path: str, status: int
) -> None:
    assert (await service.call(method, path)).status == status
