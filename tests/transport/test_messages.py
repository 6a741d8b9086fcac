"""Messages over HTTP: post, list, get, pop."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.transport.service import OTHER_CLIENT, Service

INVALID = (400, "Invalid API request")
MALFORMED = (400, "Invalid request body")
NOT_FOUND = (404, "Not found")
MESSAGES = "/v2/queues/q/messages"
ITEM = {"id", "href", "ttl", "age", "body"}


async def test_a_post_answers_with_addresses_in_order(service: Service) -> None:
    document = {"messages": [{"body": "a"}, {"body": "b"}]}
    answer = await service.post(MESSAGES, document)
    assert answer.status == 201
    assert set(answer.json) == {"resources"}
    hrefs = answer.json["resources"]
    assert [(await service.get(href)).json["body"] for href in hrefs] == ["a", "b"]
    ids = [href.removeprefix(f"{MESSAGES}/") for href in hrefs]
    assert answer.headers["location"] == f"{MESSAGES}?ids={ids[0]},{ids[1]}"
    located = await service.get(answer.headers["location"])
    assert [message["body"] for message in located.json["messages"]] == ["a", "b"]


async def test_an_item_has_exactly_the_keys_that_clients_know(service: Service) -> None:
    (message_id,) = await service.post_bodies("q", {"x": 1}, ttl=100)
    service.clock.advance(s=7.9)
    item = {
        "id": message_id,
        "href": f"{MESSAGES}/{message_id}",
        "ttl": 100,
        "age": 7,
        "body": {"x": 1},
    }
    assert (await service.get(f"{MESSAGES}/{message_id}")).json == item
    assert (await service.get(f"{MESSAGES}?ids={message_id}")).json == {"messages": [item]}
    assert (await service.get(f"{MESSAGES}?echo=1")).json["messages"] == [item]
    claim_id = await service.claim("q")
    item["href"] += f"?claim_id={claim_id}"
    item["ttl"] = 360
    assert (await service.get(f"{MESSAGES}/{message_id}")).json == item
    listed = await service.get(f"{MESSAGES}?echo=1&include_claimed=1")
    assert listed.json["messages"] == [item]


async def test_details_come_only_on_request(service: Service) -> None:
    (message_id,) = await service.post_bodies("q", 1)
    more = {"state", "claim_id", "claim_count", "dead_letter"}
    detailed = (await service.get(f"{MESSAGES}/{message_id}?detailed=true")).json
    assert set(detailed) == ITEM | more
    assert (detailed["state"], detailed["claim_count"]) == ("ready", 0)
    claim_id = await service.claim("q")
    detailed = (await service.get(f"{MESSAGES}/{message_id}?detailed=true")).json
    assert [detailed[key] for key in ("state", "claim_id", "claim_count")] == [
        "claimed",
        claim_id,
        1,
    ]


async def test_a_lost_claim_leaves_no_trace_in_the_href(service: Service) -> None:
    (message_id,) = await service.post_bodies("q", 1)
    await service.claim("q", {"ttl": 60})
    service.clock.advance(s=60)
    item = (await service.get(f"{MESSAGES}/{message_id}")).json
    assert item["href"] == f"{MESSAGES}/{message_id}"


# body as sent: it must come back byte for byte
BODIES = [
    "null",
    "true",
    "0",
    "-0",
    "1",
    "1.0",
    "1.10",
    "1e2",
    "1E+2",
    "9223372036854775807",
    "-9223372036854775808",
    "0.1000000000000000055511151231257827",
    "5e-324",
    '""',
    '"\\u00e9\\ud83d\\ude00\\u0000"',
    '"é😀"',
    '"\\/"',
    '{"b": 1,  "a" :\t2 }',
    '{"a":1,"a":2}',
    "[ ]",
    "[1,\n 2]",
    '{"": {"": []}}',
    '"]}[{,\\""',
    "[" * 125 + "]" * 125,
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:30])
async def test_a_body_comes_back_byte_for_byte(service: Service, body: str) -> None:
    data = b'{"messages": [ {"body" : %b , "ttl": 60} ]}' % body.encode()
    posted = await service.post(MESSAGES, data=data)
    assert posted.status == 201, posted.content
    (href,) = posted.json["resources"]
    for path in (href, f"{MESSAGES}?echo=1", f"{MESSAGES}?ids={href.rpartition('/')[2]}"):
        assert b'"body":' + body.encode() in (await service.get(path)).content
    claimed = await service.post("/v2/queues/q/claims")
    assert b'"body":' + body.encode() in claimed.content
    await service.delete(claimed.headers["location"])
    popped = await service.delete(f"{MESSAGES}?pop=1")
    assert b'"body":' + body.encode() in popped.content
    json.loads(popped.content)


# What stands in `messages` -> the error, and a word that its description must have.
REFUSED: dict[str, tuple[str, tuple[int, str], str]] = {
    "missing": ("{}", INVALID, "messages"),
    "empty": ('{"messages": []}', INVALID, "messages"),
    "null": ('{"messages": null}', MALFORMED, "messages"),
    "an object": ('{"messages": {}}', MALFORMED, "messages"),
    "a text": ('{"messages": "a"}', MALFORMED, "messages"),
    "a number in the list": ('{"messages": [1]}', MALFORMED, "messages[0]"),
    "null in the list": ('{"messages": [{"body": 1}, null]}', MALFORMED, "messages[1]"),
    "a list in the list": ('{"messages": [[]]}', MALFORMED, "messages[0]"),
    "no body": ('{"messages": [{"ttl": 60}]}', MALFORMED, "body"),
    "no body in the last": ('{"messages": [{"body": 1}, {}]}', MALFORMED, "messages[1]"),
    "a ttl that is a text": ('{"messages": [{"body": 1, "ttl": "60"}]}', MALFORMED, "ttl"),
    "a ttl that is true": ('{"messages": [{"body": 1, "ttl": true}]}', MALFORMED, "ttl"),
    "a ttl with a fraction": ('{"messages": [{"body": 1, "ttl": 60.5}]}', MALFORMED, "ttl"),
    "a ttl that is a float": ('{"messages": [{"body": 1, "ttl": 60.0}]}', MALFORMED, "ttl"),
    "a ttl that is a list": ('{"messages": [{"body": 1, "ttl": []}]}', MALFORMED, "ttl"),
    "a ttl below 60": ('{"messages": [{"body": 1, "ttl": 59}]}', INVALID, "ttl"),
    "a ttl of 0": ('{"messages": [{"body": 1, "ttl": 0}]}', INVALID, "messages[0].ttl"),
    "a negative ttl": ('{"messages": [{"body": 1, "ttl": -60}]}', INVALID, "ttl"),
    "a ttl above the limit": ('{"messages": [{"body": 1, "ttl": 1209601}]}', INVALID, "ttl"),
    "a bad ttl in the last": (
        '{"messages": [{"body": 1}, {"body": 1, "ttl": 1}]}',
        INVALID,
        "messages[1].ttl",
    ),
    "a huge ttl": ('{"messages": [{"body": 1, "ttl": %s}]}' % ("9" * 18), INVALID, "ttl"),
    "a delay that is true": ('{"messages": [{"body": 1, "delay": true}]}', MALFORMED, "delay"),
    "a delay with a fraction": (
        '{"messages": [{"body": 1, "delay": 1.5}]}',
        MALFORMED,
        "delay",
    ),
    "a negative delay": ('{"messages": [{"body": 1, "delay": -1}]}', INVALID, "delay"),
    "a delay above the limit": ('{"messages": [{"body": 1, "delay": 901}]}', INVALID, "delay"),
    "a delay that outlasts the ttl": (
        '{"messages": [{"body": 1, "delay": 60, "ttl": 60}]}',
        INVALID,
        "messages[0]",
    ),
}


@pytest.mark.parametrize(("data", "error", "word"), REFUSED.values(), ids=REFUSED)
async def test_a_bad_post_names_the_field_and_stores_nothing(
    service: Service, data: str, error: tuple[int, str], word: str
) -> None:
    answer = await service.post(MESSAGES, data=data.encode())
    assert answer.error == error
    assert word in answer.json["description"]
    assert (await service.get("/v2/queues")).json["queues"] == []


async def test_what_is_not_known_is_ignored_in_a_post(service: Service) -> None:
    document = {"more": 1, "messages": [{"body": 1, "ttl": None, "delay": None, "x": [1]}]}
    assert (await service.post(MESSAGES, document)).status == 201
    (message,) = (await service.get(f"{MESSAGES}?echo=1")).json["messages"]
    assert message["ttl"] == 3600


async def test_a_post_takes_more_messages_than_a_page(service: Service) -> None:
    assert len(await service.post_bodies("q", *range(500))) == 500


async def test_the_location_of_many_messages_stays_an_address(service: Service) -> None:
    document = {"messages": [{"body": n} for n in range(2000)]}
    answer = await service.post(MESSAGES, document)
    assert len(answer.json["resources"]) == 2000
    first = await service.get(answer.headers["location"])
    assert [message["body"] for message in first.json["messages"]] == list(range(20))


async def test_own_and_claimed_messages_are_listed_only_on_request(service: Service) -> None:
    await service.post_bodies("q", "claimed")
    await service.claim("q")
    await service.post_bodies("q", "mine")
    await service.post(
        MESSAGES, {"messages": [{"body": "other"}]}, headers={"Client-ID": OTHER_CLIENT}
    )
    assert await service.bodies("q", "") == ["other"]
    assert await service.bodies("q", "echo=1") == ["mine", "other"]
    assert await service.bodies("q", "include_claimed=1") == ["other"]
    everything = await service.bodies("q", "echo=1&include_claimed=1")
    assert everything == ["claimed", "mine", "other"]


async def test_links_lead_through_all_messages_and_end(service: Service) -> None:
    await service.post_bodies("q", *range(7))
    href, seen = f"{MESSAGES}?limit=3&echo=True&unknown=a%20b", []
    for _ in range(3):
        page = await service.get(href)
        assert set(page.json) == {"messages", "links"}
        seen += [message["body"] for message in page.json["messages"]]
        query = parse_qs(urlsplit(page.next_href).query)
        assert query.pop("marker") == [page.json["messages"][-1]["id"]]
        assert query == {"limit": ["3"], "echo": ["True"], "unknown": ["a b"]}
        href = page.next_href
    assert seen == list(range(7))
    assert (await service.get(href)).json == {"messages": [], "links": []}


async def test_a_marker_is_a_message_id_also_of_a_deleted_message(service: Service) -> None:
    ids = await service.post_bodies("q", *range(4))
    await service.delete(f"{MESSAGES}/{ids[1]}")
    assert await service.bodies("q", f"echo=1&marker={ids[1]}") == [2, 3]
    assert await service.bodies("q", f"echo=1&marker={ids[3]}") == []
    await service.post_bodies("q", 4)
    assert await service.bodies("q", f"echo=1&marker={ids[3]}") == [4]


@pytest.mark.parametrize("marker", ["x", "1", "-1", "%00", "%FF", "9" * 30, "f" * 22, "G" * 22])
async def test_an_unparsable_marker_is_an_empty_page(service: Service, marker: str) -> None:
    await service.post_bodies("q", 1)
    page = await service.get(f"{MESSAGES}?echo=1&marker={marker}")
    assert (page.status, page.json) == (200, {"messages": [], "links": []})


async def test_a_bulk_get_skips_unknown_ids_and_keeps_the_order(service: Service) -> None:
    first, second = await service.post_bodies("q", 1, 2)
    (other,) = await service.post_bodies("other", 3)
    await service.claim("q", limit=1)
    ids = f"{second},x,{other},{first},{second}"
    answer = await service.get(f"{MESSAGES}?ids={ids}&limit=1&echo=false")
    assert set(answer.json) == {"messages"}
    assert [message["body"] for message in answer.json["messages"]] == [2, 1]
    assert (await service.get(f"{MESSAGES}?ids=x,{other}")).error == NOT_FOUND


async def test_an_expired_message_is_gone(service: Service) -> None:
    (message_id,) = await service.post_bodies("q", 1, ttl=60)
    service.clock.advance(s=59.999)
    assert (await service.get(f"{MESSAGES}/{message_id}")).status == 200
    service.clock.advance(ms=1)
    assert (await service.get(f"{MESSAGES}/{message_id}")).error == NOT_FOUND
    assert await service.bodies("q") == []
    assert (await service.get("/v2/queues/q/stats")).json["messages"]["total"] == 0


async def test_a_pop_gives_the_oldest_ready_and_removes_them(service: Service) -> None:
    await service.post_bodies("q", "claimed")
    claim_id = await service.claim("q")
    await service.post_bodies("q", "late", delay=60)
    ids = await service.post_bodies("q", 1, 2, 3, ttl=100)
    service.clock.advance(s=3)
    popped = await service.delete(f"{MESSAGES}?pop=2")
    assert popped.status == 200
    assert popped.json == {
        "messages": [
            {
                "id": message_id,
                "age": 3,
                "ttl": 100,
                "body": body,
                "claim_id": None,
                "claim_count": 0,
            }
            for message_id, body in zip(ids, (1, 2), strict=False)
        ]
    }
    assert await service.bodies("q") == [3]
    await service.delete(f"/v2/queues/q/claims/{claim_id}")
    popped = await service.delete(f"{MESSAGES}?pop=2")
    assert [message["claim_count"] for message in popped.json["messages"]] == [1, 0]


async def test_a_queue_may_cap_its_posts(service: Service) -> None:
    await service.put("/v2/queues/q", {"_max_messages_post_size": 100})
    fits: dict[str, Any] = {"messages": [{"body": ""}]}
    fits["messages"][0]["body"] = "x" * (100 - len(json.dumps(fits)))
    assert (await service.post(MESSAGES, fits)).status == 201
    data = json.dumps(fits).encode() + b" "
    refused = await service.post(MESSAGES, data=data)
    assert refused.error == INVALID
    assert "100" in refused.json["description"]
    assert (await service.get("/v2/queues/q/stats")).json["messages"]["total"] == 1
