"""Signed URLs in Zaqar's form, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from queues import signed_urls
from tests.clock import MovableClock
from tests.identity.conftest import Start
from tests.transport.service import CLIENT, OTHER_CLIENT, Service

MESSAGES = "/v2/queues/q1/messages"
SHARE = "/v2/queues/q1/share"
POSTED = {"messages": [{"body": 1}]}


async def _share(service: Service, **wanted: Any) -> dict[str, str]:
    """Return the headers that open what was shared."""
    answer = await service.post(SHARE, wanted)
    assert answer.status == 200, answer.json
    shared = answer.json
    return {
        "URL-Signature": shared["signature"],
        "URL-Paths": ",".join(shared["paths"]),
        "URL-Methods": ",".join(shared["methods"]),
        "URL-Expires": shared["expires"],
        "X-Project-ID": shared["project"],
        "Client-ID": OTHER_CLIENT,
    }


def _in(clock: MovableClock, **delta: float) -> str:
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    return signed_urls.written(now + timedelta(**delta))


async def test_the_answer_has_zaqars_five_keys_and_no_more(service: Service) -> None:
    answer = await service.post(SHARE, {})
    assert set(answer.json) == {"paths", "methods", "project", "expires", "signature"}
    assert answer.json["paths"] == [MESSAGES]
    assert answer.json["methods"] == ["GET"]
    assert answer.json["project"] == "p1"


async def test_without_expiry_it_lasts_a_day(service: Service, clock: MovableClock) -> None:
    assert (await service.post(SHARE, {})).json["expires"] == _in(clock, days=1)


async def test_paths_and_methods_come_sorted_and_once(service: Service) -> None:
    wanted = {"paths": ["messages", "claims", "messages"], "methods": ["POST", "GET", "POST"]}
    shared = (await service.post(SHARE, wanted)).json
    assert shared["paths"] == ["/v2/queues/q1/claims", MESSAGES]
    assert shared["methods"] == ["GET", "POST"]


async def test_it_opens_what_was_shared_and_its_children(service: Service) -> None:
    opened = await _share(service, methods=["GET", "POST"])
    posted = await service.post(MESSAGES, POSTED, headers=opened)
    assert posted.status == 201
    (href,) = posted.json["resources"]
    assert (await service.get(href, headers=opened)).json["body"] == 1
    assert (await service.get(f"{MESSAGES}?echo=true", headers=opened)).status == 200


async def test_heats_way_of_polling_works(service: Service) -> None:
    opened = await _share(service, methods=["GET", "DELETE"])
    await service.post(MESSAGES, POSTED)
    popped = await service.delete(f"{MESSAGES}?pop=1", headers=opened)
    assert (popped.status, popped.json["messages"][0]["body"]) == (200, 1)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", MESSAGES),
        ("DELETE", f"{MESSAGES}?pop=1"),
        ("HEAD", "/v2/queues/q1"),
        ("GET", "/v2/queues/q1"),
        ("GET", "/v2/queues/q1/stats"),
        ("GET", "/v2/queues/q2/messages"),
        ("GET", "/v2/queues/q11/messages"),
        ("GET", "/v2/queues"),
        ("GET", "/v2/queues/q1/claims/abc"),
        ("GET", "/v2/queues/q1/messages/"),
        ("GET", "/v2/queues/q1/messages%2f"),
        ("GET", "/v2/queues/q1/messages%2F..%2F..%2Fq2%2Fmessages"),
        ("GET", "/v2/queues/q2/../q1/messages"),
        ("GET", "//v2/queues/q1/messages"),
        ("GET", "/v2//queues/q1/messages"),
        ("GET", "/V2/queues/q1/messages"),
        ("GET", "/v2/queues/Q1/messages"),
        ("GET", "/v2/tokens"),
        ("POST", "/v2/shares"),
        ("POST", SHARE),
    ],
)
async def test_it_opens_nothing_else(service: Service, method: str, path: str) -> None:
    opened = await _share(service)
    answer = await service.call(method, path, POSTED, headers=opened)
    assert answer.status in (400, 404)
    if answer.status == 400:
        # The server's HTTP parser refuses it before anybody asks for a signature.
        assert b"message" not in answer.content


@pytest.mark.parametrize(
    "change",
    [
        {"URL-Signature": "0" * 64},
        {"URL-Paths": "/v2/queues/q2/messages"},
        {"URL-Paths": f"{MESSAGES},/v2/queues/q1/claims"},
        {"URL-Paths": None},
        {"URL-Methods": "GET,POST"},
        {"URL-Methods": None},
        {"URL-Expires": "2099-01-01T00:00:00"},
        {"URL-Expires": "soon"},
        {"URL-Expires": None},
        {"X-Project-ID": "p2"},
        {"X-Project-ID": None},
    ],
)
async def test_changed_terms_open_nothing(service: Service, change: dict[str, Any]) -> None:
    opened = await _share(service)
    answer = await service.get(MESSAGES, headers={**opened, **change})
    assert (answer.status, answer.json["title"]) == (404, "404 Not Found")


async def test_an_empty_signature_is_none_at_all(service: Service) -> None:
    assert (await service.get(MESSAGES, headers={"URL-Signature": ""})).status == 200


async def test_another_spelling_of_the_same_moment_will_do(
    service: Service, clock: MovableClock
) -> None:
    opened = await _share(service, expires=f"{_in(clock, hours=1)}.123456")
    opened["URL-Expires"] += "+00:00"
    assert (await service.get(MESSAGES, headers=opened)).status == 200


async def test_it_ends_when_it_expires(service: Service, clock: MovableClock) -> None:
    opened = await _share(service, expires=_in(clock, minutes=1))
    clock.advance(s=58)
    assert (await service.get(MESSAGES, headers=opened)).status == 200
    clock.advance(s=2)
    assert (await service.get(MESSAGES, headers=opened)).status == 404


async def test_what_an_older_key_has_signed_goes_on_working(
    service: Service, clock: MovableClock
) -> None:
    terms = signed_urls.Terms((MESSAGES,), ("GET",), "p1", _in(clock, hours=1))
    opened = {
        "URL-Signature": signed_urls.sign(terms, b"notreallysecret"),
        "URL-Paths": MESSAGES,
        "URL-Methods": "GET",
        "URL-Expires": terms.expires,
    }
    assert (await service.get(MESSAGES, headers=opened)).status == 200


async def test_it_is_revoked_at_once_in_every_process(
    service: Service, elsewhere: Service
) -> None:
    opened = await _share(service)
    for process in (service, elsewhere):
        assert (await process.get(MESSAGES, headers=opened)).status == 200
    (listed,) = (await service.get("/v2/shares")).json["shares"]
    assert (await service.delete(f"/v2/shares/{listed['id']}")).status == 204
    for process in (service, elsewhere):
        assert (await process.get(MESSAGES, headers=opened)).status == 404
    assert (await service.get("/v2/shares")).json["shares"] == []


async def test_terms_that_were_revoked_are_not_given_out_again(
    service: Service, clock: MovableClock
) -> None:
    expires = _in(clock, hours=1)
    await _share(service, expires=expires)
    (listed,) = (await service.get("/v2/shares")).json["shares"]
    await service.delete(f"/v2/shares/{listed['id']}")
    assert (await service.post(SHARE, {"expires": expires})).status == 400
    assert (await service.post(SHARE, {"expires": _in(clock, hours=2)})).status == 200


async def test_a_listing_shows_nothing_that_opens_anything(service: Service) -> None:
    opened = await _share(service)
    listing = (await service.get("/v2/shares")).content
    assert opened["URL-Signature"].encode() not in listing


async def test_shares_of_another_project_are_out_of_reach(service: Service) -> None:
    await _share(service)
    (listed,) = (await service.get("/v2/shares")).json["shares"]
    other = {"X-Project-ID": "p2"}
    assert (await service.get("/v2/shares", headers=other)).json["shares"] == []
    answer = await service.delete(f"/v2/shares/{listed['id']}", headers=other)
    assert answer.status == 404


@pytest.mark.parametrize(
    "wanted",
    [
        {"paths": ["stats"]},
        {"paths": "messages"},
        {"methods": "GET"},
        {"methods": ["GET,POST"]},
        {"methods": [1]},
        {"expires": 1893456000},
        {"expires": "1893456000"},
        {"expires": "2001-01-01T00:00:00"},
        {"expires": "soon"},
        {"project_id": "p2"},
    ],
)
async def test_a_wrong_wish_is_refused_as_zaqar_does(
    service: Service, wanted: dict[str, Any]
) -> None:
    answer = await service.post(SHARE, wanted)
    assert (answer.status, answer.json["title"]) == (400, "Invalid API request")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"x"'])
async def test_a_body_that_is_no_object_is_refused(service: Service, data: bytes) -> None:
    answer = await service.call("POST", SHARE, data=data)
    assert (answer.status, answer.json["title"]) == (400, "Invalid request body")


async def test_without_a_key_nothing_is_signed_and_nothing_opens(start: Start) -> None:
    keyless: Service = await start(keys_file="")
    answer = await keyless.post(SHARE, {})
    assert answer.status == 400
    assert "keys_file" in answer.json["description"]
    opened = {
        "URL-Signature": "0" * 64,
        "URL-Paths": MESSAGES,
        "URL-Methods": "GET",
        "URL-Expires": "2099-01-01T00:00:00",
    }
    assert (await keyless.get(MESSAGES, headers=opened)).status == 404


async def test_whoever_has_no_client_id_gets_one(service: Service) -> None:
    opened = await _share(service, methods=["POST", "GET"])
    nameless = {**opened, "Client-ID": None}
    assert (await service.post(MESSAGES, POSTED, headers=nameless)).status == 201
    assert (await service.get(MESSAGES, headers=nameless)).json["messages"] == []
    listed = await service.get(MESSAGES, headers={**opened, "Client-ID": CLIENT})
    assert len(listed.json["messages"]) == 1
