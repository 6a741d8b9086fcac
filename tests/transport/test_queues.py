"""Queues over HTTP: create, show, list, count, purge, delete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from queues.config import Settings
from storage_drivers import open_storage
from tests.clock import MovableClock
from tests.transport.faults import FaultyStorage
from tests.transport.service import Service, running

DEFAULTS = {
    "_max_messages_post_size": 262_144,
    "_default_message_ttl": 3600,
    "_default_message_delay": 0,
    "_dead_letter_queue": None,
    "_dead_letter_queue_messages_ttl": None,
    "_max_claim_count": None,
    "_enable_encrypt_messages": False,
}
INVALID = (400, "Invalid API request")
MALFORMED = (400, "Invalid request body")


async def test_creating_is_201_once_and_then_204_and_changes_nothing(service: Service) -> None:
    first = await service.put("/v2/queues/q", {"a": 1})
    second = await service.put("/v2/queues/q", {"a": 2})
    assert (first.status, second.status) == (201, 204)
    for answer in (first, second):
        assert answer.headers["location"] == "/v2/queues/q"
        assert answer.content == b""
    assert first.headers["content-length"] == "0"
    assert (await service.get("/v2/queues/q")).json == {**DEFAULTS, "a": 1}


async def test_an_existing_queue_still_wants_good_metadata(service: Service) -> None:
    await service.put("/v2/queues/q")
    answer = await service.put("/v2/queues/q", {"_default_message_ttl": 1})
    assert answer.error == INVALID


async def test_a_queue_shows_its_metadata_and_seven_defaults(service: Service) -> None:
    assert (await service.get("/v2/queues/absent")).json == DEFAULTS
    metadata = {
        "user": {"nested": [1, 2.5, None, "ø"]},
        "_default_message_ttl": 60,
        "_flavor": "gold",
        "_custom": 1,
    }
    await service.put("/v2/queues/q", metadata)
    assert (await service.get("/v2/queues/q")).json == {**DEFAULTS, **metadata}


async def test_falsy_reserved_values_show_as_defaults(service: Service) -> None:
    unset = {"_default_message_ttl": None, "_max_claim_count": 0, "_default_message_delay": 0}
    assert (await service.put("/v2/queues/q", unset)).status == 201
    assert (await service.get("/v2/queues/q")).json == DEFAULTS


# name: (accepted values, refused values)
RESERVED: dict[str, tuple[list[Any], list[Any]]] = {
    "_max_messages_post_size": ([1, 262_144], [0, 262_145, -1, True, False, 1.5, "1", [], {}]),
    "_default_message_ttl": ([60, 1_209_600], [0, 59, 1_209_601, True, 60.0, "60", [], {}]),
    "_default_message_delay": ([0, 900], [-1, 901, True, 1.0, "", [], {}]),
    "_dead_letter_queue": (["dead", "a.b"], ["", "a b", "q", "x" * 65, 1, True, [], {}]),
    "_dead_letter_queue_messages_ttl": ([60, 1_209_600], [0, 59, 1_209_601, True, "", [], {}]),
    "_max_claim_count": ([0, 1, 2**31 - 1], [-1, 2**31, True, 1.0, "", [], {}]),
    "_enable_encrypt_messages": ([False], [True, 0, 1, "false", [], {}]),
    "_flavor": (["gold", ""], [1, True, [], {}]),
    "_retry_policy": (
        [{}, {"minimum_delay": 1, "maximum_delay": 11}, {"retry_backoff_function": "linear"}],
        [
            [],
            "",
            1,
            True,
            {"minimum_delay": "1"},
            {"minimum_delay": True},
            {"maximum_delay_retries": -1},
            {"minimum_delay": 2, "maximum_delay": 11},
            {"minimum_delay": 30},
            {"retry_backoff_function": "cubic"},
            {"retry_backoff_function": []},
            {"ignore_subscription_override": 1},
        ],
    ),
}


@pytest.mark.parametrize("name", RESERVED)
async def test_reserved_attributes_are_checked(service: Service, name: str) -> None:
    accepted, refused = RESERVED[name]
    for value in refused:
        answer = await service.put("/v2/queues/q", {"good": 1, name: value})
        assert answer.error == INVALID, value
        assert name in answer.json["description"]
    assert (await service.call("HEAD", "/v2/queues/q")).status == 404
    for value in [None, *accepted]:
        assert (await service.put("/v2/queues/q", {name: value})).status == 201, value
        shown = (await service.get("/v2/queues/q")).json
        assert shown.get(name) == (value or DEFAULTS.get(name, value)), value
        for bad in refused:
            change = {"op": "add", "path": f"/metadata/{name}", "value": bad}
            assert (await service.patch_queue("q", change)).error == INVALID, bad
        assert (await service.get("/v2/queues/q")).json == shown
        await service.delete("/v2/queues/q")


@pytest.mark.parametrize("data", [b"[]", b" ", b"\n", b"1", b"null", b'"a"', b"{", b"{}{}"])
async def test_metadata_is_an_object_or_nothing(service: Service, data: bytes) -> None:
    assert (await service.put("/v2/queues/q", data=data)).error == MALFORMED
    assert (await service.call("HEAD", "/v2/queues/q")).status == 404


async def test_deleting_takes_the_messages_too(service: Service) -> None:
    await service.put("/v2/queues/q", {"a": 1})
    (message_id,) = await service.post_bodies("q", 1)
    claim_id = await service.claim("q")
    assert (await service.delete("/v2/queues/q")).status == 204
    assert (await service.delete("/v2/queues/q")).status == 204
    assert (await service.get(f"/v2/queues/q/messages/{message_id}")).status == 404
    assert (await service.get(f"/v2/queues/q/claims/{claim_id}")).status == 404
    assert (await service.get("/v2/queues/q")).json == DEFAULTS
    assert (await service.get("/v2/queues")).json["queues"] == []


async def test_a_list_is_sorted_and_its_links_lead_to_the_end(service: Service) -> None:
    names = [f"q{index:02}" for index in range(25)]
    for name in reversed(names):
        await service.put(f"/v2/queues/{name}")
    href, pages = "/v2/queues?limit=10", []
    while True:
        page = (await service.get(href)).json
        assert set(page) == {"queues", "links"}
        if not page["queues"]:
            break
        pages.append([queue["name"] for queue in page["queues"]])
        (link,) = page["links"]
        assert link["rel"] == "next"
        href = link["href"]
        asked = {"limit": ["10"], "marker": [pages[-1][-1]]}
        assert parse_qs(urlsplit(href).query) == asked
    assert page["links"] == []
    assert pages == [names[:10], names[10:20], names[20:]]


async def test_a_listed_queue_has_a_name_an_href_and_on_request_metadata(
    service: Service,
) -> None:
    await service.put("/v2/queues/q", {"a": 1})
    (plain,) = (await service.get("/v2/queues")).json["queues"]
    (detailed,) = (await service.get("/v2/queues?detailed=True")).json["queues"]
    assert plain == {"name": "q", "href": "/v2/queues/q"}
    assert detailed == {**plain, "metadata": {**DEFAULTS, "a": 1}}


async def test_a_marker_need_not_exist_and_is_left_out_itself(service: Service) -> None:
    for name in ("a", "b", "c"):
        await service.put(f"/v2/queues/{name}")
    for marker, rest in {"": "abc", "a": "bc", "aa": "bc", "c": "", "%00": "abc"}.items():
        page = await service.get(f"/v2/queues?marker={marker}")
        assert "".join(queue["name"] for queue in page.json["queues"]) == rest


async def test_a_count_comes_on_request_and_ignores_filters(service: Service) -> None:
    assert "count" not in (await service.get("/v2/queues?with_count=true")).json
    for name in ("a", "b", "c"):
        await service.put(f"/v2/queues/{name}")
    for query in ("", "&limit=1", "&name=b", "&x=y", "&marker=c"):
        assert (await service.get(f"/v2/queues?with_count=true{query}")).json["count"] == 3


# Queues: app.one {"tier": "gold", "n": 7, "ok": True}, app.two {"tier": "tin"}, other {}
FILTERS = {
    "a part of the name": ("name=app", ["app.one", "app.two"]),
    "a dot is a dot": ("name=p.", ["app.one", "app.two"]),
    "no pattern": ("name=a.*", []),
    "an unclosed pattern": ("name=(", []),
    "a text": ("tier=gold", ["app.one"]),
    "a number": ("n=7", ["app.one"]),
    "another number": ("n=07", []),
    "two at once": ("tier=gold&n=7", ["app.one"]),
    "two that never meet": ("tier=tin&n=7", []),
    "a key that is nowhere": ("nowhere=1", []),
    "the last of a repeated key": ("tier=tin&tier=gold", ["app.one"]),
    "name and metadata": ("name=two&tier=tin", ["app.two"]),
}


@pytest.mark.parametrize(("query", "names"), FILTERS.values(), ids=FILTERS)
async def test_a_list_can_be_filtered_by(
    service: Service, query: str, names: list[str]
) -> None:
    await service.put("/v2/queues/app.one", {"tier": "gold", "n": 7, "ok": True})
    await service.put("/v2/queues/app.two", {"tier": "tin"})
    await service.put("/v2/queues/other")
    page = await service.get(f"/v2/queues?{query}")
    assert [queue["name"] for queue in page.json["queues"]] == names


async def test_the_link_keeps_the_filters(service: Service) -> None:
    for index in range(6):
        await service.put(f"/v2/queues/q{index}", {"parity": index % 2, "t": "a b&c/ø"})
    asked = {"limit": ["2"], "parity": ["1"], "t": ["a b&c/ø"], "detailed": ["true"]}
    page = await service.get("/v2/queues?limit=2&parity=1&t=a%20b%26c/%C3%B8&detailed=true")
    assert [queue["name"] for queue in page.json["queues"]] == ["q1", "q3"]
    assert parse_qs(urlsplit(page.next_href).query) == {**asked, "marker": ["q3"]}
    last = await service.get(page.next_href)
    assert [queue["name"] for queue in last.json["queues"]] == ["q5"]
    assert (await service.get(last.next_href)).json == {"queues": [], "links": []}


async def test_stats_have_counts_and_both_ends_with_three_keys_each(service: Service) -> None:
    first, _, last = await service.post_bodies("q", 1, 2, 3)
    await service.claim("q", limit=1)
    service.clock.advance(s=5)
    stats = (await service.get("/v2/queues/q/stats")).json["messages"]
    assert set(stats) == {"free", "claimed", "total", "oldest", "newest"}
    assert (stats["free"], stats["claimed"], stats["total"]) == (2, 1, 3)
    for end, message_id in (("oldest", first), ("newest", last)):
        assert set(stats[end]) == {"href", "age", "created"}
        assert stats[end]["href"] == f"/v2/queues/q/messages/{message_id}"
        assert stats[end]["age"] == 5
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stats[end]["created"])


# body of the purge -> (status, bodies left)
PURGES = {
    None: (204, False),
    '{"resource_types": ["messages"]}': (204, False),
    '{"resource_types": ["messages", "subscriptions"]}': (204, False),
    '{"resource_types": ["subscriptions"]}': (204, True),
    '{"resource_types": []}': (204, True),
    '{"resource_types": ["messages"], "more": 1}': (204, False),
    '{"resource_types": ["claims"]}': (INVALID, True),
    "{}": (INVALID, True),
    '{"resource_types": null}': (INVALID, True),
    '{"resource_types": "messages"}': (MALFORMED, True),
    '{"resource_types": [1]}': (MALFORMED, True),
    '{"resource_types": [[]]}': (MALFORMED, True),
    "[]": (MALFORMED, True),
    " ": (MALFORMED, True),
    "{": (MALFORMED, True),
}


@pytest.mark.parametrize(("body", "expected"), PURGES.items(), ids=map(str, PURGES))
async def test_a_purge_removes_messages_in_every_state(
    service: Service, body: str | None, expected: tuple[Any, bool]
) -> None:
    status, left = expected
    await service.put("/v2/queues/q", {"a": 1})
    await service.post_bodies("q", "claimed")
    await service.claim("q")
    await service.post_bodies("q", "delayed", delay=30)
    await service.post_bodies("q", "ready")
    answer = await service.post(
        "/v2/queues/q/purge", data=None if body is None else body.encode()
    )
    assert (answer.status if status == 204 else answer.error) == status
    query = "echo=1&include_claimed=1&include_delayed=1"
    assert len(await service.bodies("q", query)) == (3 if left else 0)
    assert (await service.get("/v2/queues/q")).json["a"] == 1


async def test_a_purge_works_once_for_a_type_that_is_named_often(
    sqlite_file: Path, clock: MovableClock
) -> None:
    storage = FaultyStorage(open_storage(f"sqlite:///{sqlite_file}", timeout_ms=5000))
    purges = 0

    async def count(name: str) -> None:
        nonlocal purges
        purges += name == "queues.purge"

    async with running(storage, clock, Settings()) as service:
        storage.before = count
        document = {"resource_types": ["messages"] * 5000}
        assert (await service.post("/v2/queues/q/purge", document)).status == 204
    assert purges == 1
