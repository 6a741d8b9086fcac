"""Dead letters over HTTP: listed with their history, sent back, watched and cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.transport.service import MSGPACK, Service

DEAD = "/v2/queues/graveyard"


async def bury(service: Service, *bodies: object) -> None:
    """Let messages die in the queue `orders`."""
    metadata = {"_dead_letter_queue": "graveyard", "_max_claim_count": 1}
    await service.call("PUT", "/v2/queues/orders", metadata)
    posted = {"messages": [{"body": body} for body in bodies]}
    assert (await service.call("POST", "/v2/queues/orders/messages", posted)).status == 201
    for expected in (201, 204):
        claimed = await service.call("POST", "/v2/queues/orders/claims", {"ttl": 60})
        assert claimed.status == expected
        service.clock.advance(s=60)


async def ended(service: Service) -> dict[str, Any]:
    """Wait until the redrive is over."""
    async with asyncio.timeout(20):
        while True:
            found: dict[str, Any] = (await service.call("GET", f"{DEAD}/redrive")).json
            if found["ended_at"]:
                return found
            await asyncio.sleep(0.01)


async def test_a_dead_letter_tells_where_it_came_from_and_why(service: Service) -> None:
    await bury(service, {"n": 1})
    answer = await service.call("GET", f"{DEAD}/dead_letters")
    (letter,) = answer.json["dead_letters"]
    assert letter["body"] == {"n": 1}
    assert letter["href"] == f"{DEAD}/messages/{letter['id']}"
    assert (letter["queue"], letter["reason"]) == ("orders", "max_claim_count")
    assert (letter["claim_count"], letter["history"]) == (1, [])
    assert letter["message_id"] != letter["id"]
    assert letter["posted_at"] < letter["moved_at"]
    shown = await service.call("GET", letter["href"])
    assert shown.json["body"] == {"n": 1}


async def test_dead_letters_are_listed_page_by_page(service: Service) -> None:
    await bury(service, *range(5))
    href, found = f"{DEAD}/dead_letters?limit=2", []
    while href:
        page = (await service.call("GET", href)).json
        found += [letter["body"] for letter in page["dead_letters"]]
        href = page["links"][0]["href"] if page["links"] else ""
    assert found == list(range(5))
    packed = await service.call("GET", f"{DEAD}/dead_letters", headers={"Accept": MSGPACK})
    assert len(packed.msgpack["dead_letters"]) == 5


async def test_letters_are_sent_back_and_keep_their_history(service: Service) -> None:
    await bury(service, {"n": 1}, {"n": 2})
    started = await service.call("POST", f"{DEAD}/redrive", {"filter": {"body": {"n": [2]}}})
    assert started.status == 202
    assert started.headers["location"] == f"{DEAD}/redrive"
    assert started.json["state"] == "running"
    done = await ended(service)
    assert (done["state"], done["moved"], done["skipped"]) == ("completed", 1, 1)
    assert done["filter"] == {"body": {"n": [2]}}
    listed = await service.call("GET", "/v2/queues/orders/messages?echo=true")
    assert [message["body"] for message in listed.json["messages"]] == [{"n": 2}]
    for expected in (201, 204):
        claimed = await service.call("POST", "/v2/queues/orders/claims", {"ttl": 60})
        assert claimed.status == expected
        service.clock.advance(s=60)
    again = (await service.call("GET", f"{DEAD}/dead_letters")).json["dead_letters"]
    (round_,) = again[1]["history"]
    assert round_["queue"] == "orders"
    assert round_["moved_at"] <= round_["redriven_at"] <= again[1]["moved_at"]


async def test_a_redrive_is_cancelled(service: Service) -> None:
    await bury(service, *range(10))
    body = {"to": "repaired", "rate": 0.001}
    assert (await service.call("POST", f"{DEAD}/redrive", body)).status == 202
    again = await service.call("POST", f"{DEAD}/redrive")
    assert again.error == (409, "Resource conflict")
    assert again.json["code"] == "redrive_running"
    cancelled = await service.call("DELETE", f"{DEAD}/redrive")
    assert (cancelled.status, cancelled.json["state"]) == (200, "cancelling")
    assert (await ended(service))["state"] == "cancelled"


async def test_a_queue_without_letters_or_redrive(service: Service) -> None:
    listed = await service.call("GET", f"{DEAD}/dead_letters")
    assert listed.json == {"dead_letters": [], "links": []}
    for method in ("GET", "DELETE"):
        assert (await service.call(method, f"{DEAD}/redrive")).error == (404, "Not found")


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"to": "no name"}, "to"),
        ({"to": 5}, "to"),
        ({"rate": 0}, "rate"),
        ({"rate": "fast"}, "rate"),
        ({"limit": 0}, "limit"),
        ({"limit": True}, "limit"),
        ({"filter": {"source": ""}}, "filter.source"),
        ({"filter": {"reason": "bad luck"}}, "filter.reason"),
        ({"filter": {"body": {}}}, "filter.body"),
        ({"filter": {"body": {"a": "b"}}}, "filter.body.a"),
        ({"filter": {"size": 1}}, "size"),
        ({"speed": 1}, "speed"),
        ([], ""),
    ],
)
async def test_what_is_wrong_is_named(service: Service, document: Any, field: str) -> None:
    answer = await service.call("POST", f"{DEAD}/redrive", document)
    assert answer.error[0] == 400
    assert field in answer.json["description"]
    assert (await service.call("GET", f"{DEAD}/redrive")).status == 404


@pytest.mark.parametrize("limit", ["0", "21", "x"])
async def test_a_limit_out_of_range_is_refused(service: Service, limit: str) -> None:
    answer = await service.call("GET", f"{DEAD}/dead_letters?limit={limit}")
    assert answer.error[0] == 400
