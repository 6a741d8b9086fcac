"""Claims over HTTP: create, show, renew, release."""

from __future__ import annotations

import pytest

from tests.transport.service import Service

INVALID = (400, "Invalid API request")
MALFORMED = (400, "Invalid request body")
NOT_FOUND = (404, "Not found")
CLAIMS = "/v2/queues/q/claims"


async def test_a_claim_gives_messages_whose_hrefs_end_with_its_id(service: Service) -> None:
    ids = await service.post_bodies("q", "a", "b", ttl=1000)
    service.clock.advance(s=2)
    answer = await service.post(f"{CLAIMS}?limit=2", {"ttl": 60, "grace": 60})
    assert answer.status == 201
    location = answer.headers["location"]
    claim_id = location.removeprefix(f"{CLAIMS}/")
    assert answer.json == {
        "messages": [
            {
                "id": message_id,
                "href": f"/v2/queues/q/messages/{message_id}?claim_id={claim_id}",
                "ttl": 1000,
                "age": 2,
                "body": body,
            }
            for message_id, body in zip(ids, ("a", "b"), strict=True)
        ]
    }
    for message in answer.json["messages"]:
        assert (await service.delete(message["href"])).status == 204


async def test_nothing_to_claim_is_an_empty_204(service: Service) -> None:
    await service.put("/v2/queues/q")
    await service.post_bodies("q", 1)
    await service.claim("q")
    answer = await service.post(CLAIMS, {"ttl": 60, "grace": 60})
    assert (answer.status, answer.content) == (204, b"")
    assert "location" not in answer.headers


# Body of the claim -> its ttl and the ttl of its message, which had less than that.
LEASES = {
    "": (300, 360),
    "{}": (300, 360),
    '{"ttl": null, "grace": null}': (300, 360),
    '{"ttl": 100}': (100, 160),
    '{"grace": 100}': (300, 400),
    '{"ttl": 43200, "grace": 43200}': (43_200, 86_400),
    '{"ttl": 60, "grace": 60, "limit": 1, "x": []}': (60, 120),
}


@pytest.mark.parametrize(("body", "ttls"), LEASES.items())
async def test_ttl_and_grace_have_defaults(
    service: Service, body: str, ttls: tuple[int, int]
) -> None:
    await service.post_bodies("q", 1, ttl=60)
    service.clock.advance(s=1)
    answer = await service.post(CLAIMS, data=body.encode())
    claim = (await service.get(answer.headers["location"])).json
    assert (claim["ttl"], claim["messages"][0]["ttl"]) == ttls


REFUSED = {
    '{"ttl": 59}': (INVALID, "ttl"),
    '{"ttl": 43201}': (INVALID, "ttl"),
    '{"ttl": -1}': (INVALID, "ttl"),
    '{"grace": 59}': (INVALID, "grace"),
    '{"grace": 43201}': (INVALID, "grace"),
    '{"grace": 0}': (INVALID, "grace"),
    '{"ttl": true}': (MALFORMED, "ttl"),
    '{"ttl": 60.0}': (MALFORMED, "ttl"),
    '{"ttl": "60"}': (MALFORMED, "ttl"),
    '{"grace": []}': (MALFORMED, "grace"),
    '{"ttl": %s}' % ("9" * 30): (MALFORMED, "64 bits"),
    "[]": (MALFORMED, "object"),
    "null": (MALFORMED, "object"),
    "1": (MALFORMED, "object"),
    " ": (MALFORMED, "parsed"),
    "{": (MALFORMED, "parsed"),
}


@pytest.mark.parametrize("body", REFUSED)
async def test_a_bad_lease_claims_and_renews_nothing(service: Service, body: str) -> None:
    error, word = REFUSED[body]
    await service.post_bodies("q", 1)
    before = await service.state()
    refused = await service.post(CLAIMS, data=body.encode())
    assert refused.error == error
    assert word in refused.json["description"]
    assert await service.state() == before
    claim_id = await service.claim("q", {"ttl": 60})
    service.clock.advance(s=30)
    before = await service.state()
    assert (await service.patch(f"{CLAIMS}/{claim_id}", data=body.encode())).error == error
    assert await service.state() == before
    assert (await service.get(f"{CLAIMS}/{claim_id}")).json["age"] == 30


async def test_a_renewal_needs_a_body(service: Service) -> None:
    await service.post_bodies("q", 1)
    claim_id = await service.claim("q")
    assert (await service.patch(f"{CLAIMS}/{claim_id}")).error == MALFORMED


async def test_a_claim_shows_age_ttl_href_and_messages(service: Service) -> None:
    ids = await service.post_bodies("q", 1, 2, ttl=1000)
    claim_id = await service.claim("q", {"ttl": 100})
    service.clock.advance(s=9.5)
    claim = (await service.get(f"{CLAIMS}/{claim_id}")).json
    assert set(claim) == {"age", "ttl", "href", "messages"}
    assert (claim["age"], claim["ttl"], claim["href"]) == (9, 100, f"{CLAIMS}/{claim_id}")
    assert [message["id"] for message in claim["messages"]] == ids
    keys = {"id", "href", "ttl", "age", "body"}
    assert all(set(message) == keys for message in claim["messages"])


async def test_a_claim_ends_with_its_ttl(service: Service) -> None:
    await service.post_bodies("q", 1)
    claim_id = await service.claim("q", {"ttl": 60})
    service.clock.advance(s=59.999)
    assert (await service.get(f"{CLAIMS}/{claim_id}")).status == 200
    service.clock.advance(ms=1)
    assert (await service.get(f"{CLAIMS}/{claim_id}")).error == NOT_FOUND
    late = await service.patch(f"{CLAIMS}/{claim_id}", {})
    assert late.error == NOT_FOUND
    assert late.json["code"] == "claim_lost"
    assert await service.bodies("q") == [1]


async def test_a_claim_without_messages_is_over(service: Service) -> None:
    (message_id,) = await service.post_bodies("q", 1)
    claim_id = await service.claim("q")
    await service.delete(f"/v2/queues/q/messages/{message_id}?claim_id={claim_id}")
    assert (await service.get(f"{CLAIMS}/{claim_id}")).error == NOT_FOUND


async def test_a_renewal_starts_the_lease_anew(service: Service) -> None:
    await service.post_bodies("q", 1, ttl=60)
    claim_id = await service.claim("q", {"ttl": 60, "grace": 60})
    service.clock.advance(s=59)
    renewed = await service.patch(f"{CLAIMS}/{claim_id}", {"ttl": 100, "grace": 70})
    assert (renewed.status, renewed.content) == (204, b"")
    claim = (await service.get(f"{CLAIMS}/{claim_id}")).json
    assert (claim["age"], claim["ttl"], claim["messages"][0]["ttl"]) == (0, 100, 170)
    service.clock.advance(s=99)
    assert (await service.get(f"{CLAIMS}/{claim_id}")).status == 200
    service.clock.advance(s=1)
    assert (await service.get(f"{CLAIMS}/{claim_id}")).status == 404


async def test_a_renewal_without_fields_takes_the_defaults(service: Service) -> None:
    await service.post_bodies("q", 1)
    claim_id = await service.claim("q", {"ttl": 60})
    assert (await service.patch(f"{CLAIMS}/{claim_id}", {"ttl": None})).status == 204
    assert (await service.get(f"{CLAIMS}/{claim_id}")).json["ttl"] == 300


async def test_a_release_makes_messages_ready_at_once(service: Service) -> None:
    await service.post_bodies("q", 1)
    claim_id = await service.claim("q")
    assert await service.bodies("q") == []
    for _ in range(2):
        released = await service.delete(f"{CLAIMS}/{claim_id}")
        assert (released.status, released.content) == (204, b"")
    assert await service.bodies("q") == [1]
    assert (await service.get(f"{CLAIMS}/{claim_id}")).error == NOT_FOUND
    late = await service.patch(f"{CLAIMS}/{claim_id}", {})
    assert (late.status, late.json["code"]) == (404, "claim_lost")
    await service.claim("q")


async def test_a_claim_belongs_to_its_queue(service: Service) -> None:
    await service.post_bodies("q", 1)
    claim_id = await service.claim("q")
    other = f"/v2/queues/other/claims/{claim_id}"
    assert (await service.get(other)).error == NOT_FOUND
    assert (await service.patch(other, {})).error == NOT_FOUND
    assert (await service.delete(other)).status == 204
    assert (await service.get(f"{CLAIMS}/{claim_id}")).status == 200


async def test_one_may_claim_what_one_has_posted_and_only_once(service: Service) -> None:
    await service.post_bodies("q", *range(25))
    seen = []
    for _ in range(3):
        answer = await service.post(CLAIMS)
        seen += [message["body"] for message in answer.json["messages"]]
    assert seen == list(range(25))
    assert (await service.post(CLAIMS)).status == 204
