"""Shares as one URL, for programs that can only open a URL."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.clock import MovableClock
from tests.transport.service import Answer, Service

NOTHING = {"Client-ID": None, "X-Project-ID": None}
POSTED = {"messages": [{"body": 1}]}


async def _urls(service: Service, **wanted: Any) -> dict[str, str]:
    answer = await service.post("/v2/shares", {"queue": "q1", **wanted})
    assert answer.status == 201, answer.json
    assert answer.headers["location"] == f"/v2/shares/{answer.json['id']}"
    urls: dict[str, str] = answer.json["urls"]
    return urls


async def _open(service: Service, method: str, url: str, document: object = ...) -> Answer:
    return await service.call(method, url, document, headers=NOTHING)


async def test_the_url_alone_is_enough(service: Service) -> None:
    urls = await _urls(service, paths=["messages", "claims"], methods=["GET", "POST"])
    assert set(urls) == {"messages", "claims"}
    assert (await _open(service, "POST", urls["messages"], POSTED)).status == 201
    assert (await _open(service, "POST", urls["claims"], {})).status == 201


async def test_other_parameters_may_be_added(service: Service) -> None:
    urls = await _urls(service, methods=["GET", "DELETE"])
    await service.post("/v2/queues/q1/messages", POSTED)
    listed = await _open(service, "GET", f"{urls['messages']}&limit=1")
    assert len(listed.json["messages"]) == 1
    popped = await _open(service, "DELETE", f"{urls['messages']}&pop=1")
    assert len(popped.json["messages"]) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("methods=GET", "methods=GET,POST"),
        ("methods=GET", ""),
        ("project=p1", "project=p2"),
        ("/messages", "/messages,/v2/queues/q2/messages"),
        ("counted=true", "counted=false"),
        ("counted=true", ""),
        ("share=", "share=0"),
        ("expires=20", "expires=21"),
        ("signature=", "signature=0"),
    ],
)
async def test_a_changed_url_opens_nothing(service: Service, old: str, new: str) -> None:
    url = (await _urls(service, uses=5))["messages"]
    path, query = url.split("?")
    assert old in query
    changed = await _open(service, "GET", f"{path}?{query.replace(old, new, 1)}")
    assert changed.status == 404
    assert (await _open(service, "GET", url)).status == 200


async def test_it_opens_no_other_queue_and_no_other_method(service: Service) -> None:
    url = (await _urls(service))["messages"]
    query = url.partition("?")[2]
    assert (await _open(service, "GET", f"/v2/queues/q2/messages?{query}")).status == 404
    assert (await _open(service, "POST", url, POSTED)).status == 404


async def test_uses_are_counted_over_all_processes(
    service: Service, elsewhere: Service
) -> None:
    url = (await _urls(service, uses=3))["messages"]
    answers = await asyncio.gather(
        *(_open(process, "GET", url) for process in (service, elsewhere) * 5)
    )
    assert sorted(answer.status for answer in answers) == [200] * 3 + [404] * 7
    (listed,) = (await service.get("/v2/shares")).json["shares"]
    assert (listed["uses"], listed["uses_left"]) == (3, 0)


async def test_what_the_signature_does_not_open_uses_nothing_up(service: Service) -> None:
    url = (await _urls(service, uses=1))["messages"]
    assert (await _open(service, "POST", url, POSTED)).status == 404
    assert (await _open(service, "GET", url)).status == 200


async def test_without_a_number_of_uses_it_works_until_it_expires(
    service: Service, clock: MovableClock
) -> None:
    url = (await _urls(service))["messages"]
    for _ in range(3):
        assert (await _open(service, "GET", url)).status == 200
    clock.advance(s=86_401)
    assert (await _open(service, "GET", url)).status == 404


async def test_it_is_revoked_at_once_in_every_process(
    service: Service, elsewhere: Service
) -> None:
    answer = await service.post("/v2/shares", {"queue": "q1"})
    url = answer.json["urls"]["messages"]
    assert (await _open(elsewhere, "GET", url)).status == 200
    assert (await service.delete(f"/v2/shares/{answer.json['id']}")).status == 204
    assert (await _open(elsewhere, "GET", url)).status == 404
    assert (await service.delete(f"/v2/shares/{answer.json['id']}")).status == 404


@pytest.mark.parametrize(
    "wanted",
    [
        {"uses": 0},
        {"uses": -1},
        {"uses": 1_000_001},
        {"queue": ""},
        {"queue": "a/b"},
        {"paths": ["stats"]},
    ],
)
async def test_a_wrong_wish_is_refused(service: Service, wanted: dict[str, Any]) -> None:
    assert (await service.post("/v2/shares", {"queue": "q1", **wanted})).status == 400


async def test_a_listing_goes_page_by_page(service: Service) -> None:
    made = [(await service.post("/v2/shares", {"queue": "q1"})).json["id"] for _ in range(5)]
    seen, href = [], "/v2/shares?limit=2"
    while href:
        page = (await service.get(href)).json
        seen += [share["id"] for share in page["shares"]]
        href = page["links"][0]["href"] if page["links"] else ""
    assert seen == sorted(made)
