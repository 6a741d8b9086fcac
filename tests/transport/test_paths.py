"""Paths, methods and names in paths."""

from __future__ import annotations

import pytest

from tests.transport.service import Service

NO_ROUTE = (404, "404 Not Found")
BAD_QUEUE = (400, "Invalid queue identification")

NOWHERE = [
    "/v1",
    "/v2.0/",
    "/V2/queues",
    "/v2/Queues",
    "/v2/queues/q/",
    "/v2/queues/q/stats/",
    "/v2/queues/q/messages/",
    "/v2/queues/q/messages/a/",
    "/v2/queues/q/messages/a/b",
    "/v2/queues/q/claims/",
    "/v2/queues/a%2fb",
    "/v2/queues/a%2Fstats",
    "/v2/queues/a%2fmessages/b",
    "/v2/queues/q/messages/a%2Fb",
    "/v2/queues/q/claims/a%2Fb",
    "/v2%2fqueues",
]


@pytest.mark.parametrize("path", NOWHERE)
async def test_there_is_nothing_at(service: Service, path: str) -> None:
    assert (await service.get(path)).error == NO_ROUTE


async def test_a_trailing_slash_makes_no_delete_succeed(service: Service) -> None:
    for path in ("/v2/queues/q/messages/", "/v2/queues/q/claims/"):
        assert (await service.delete(path)).error == NO_ROUTE
    assert (await service.delete("/v2/queues/")).error == BAD_QUEUE


async def test_an_unknown_path_needs_no_headers(service: Service) -> None:
    answer = await service.get("/nowhere", headers={"Client-ID": None, "X-Project-ID": None})
    assert answer.error == NO_ROUTE


METHODS = {
    "/": {"GET"},
    "/v2": {"GET"},
    "/v2/": {"GET"},
    "/v2/openapi.json": {"GET"},
    "/v2/ping": {"GET", "HEAD"},
    "/v2/health": {"GET"},
    "/v2/queues": {"GET"},
    "/v2/queues/q": {"GET", "HEAD", "PUT", "PATCH", "DELETE"},
    "/v2/queues/q/stats": {"GET"},
    "/v2/queues/q/purge": {"POST"},
    "/v2/queues/q/messages": {"GET", "POST", "DELETE"},
    "/v2/queues/q/messages/a": {"GET", "DELETE"},
    "/v2/queues/q/claims": {"POST"},
    "/v2/queues/q/claims/a": {"GET", "PATCH", "DELETE"},
}


@pytest.mark.parametrize(("path", "methods"), METHODS.items(), ids=METHODS)
async def test_options_and_405_name_the_methods_that_there_are(
    service: Service, path: str, methods: set[str]
) -> None:
    options = await service.call("OPTIONS", path)
    assert (options.status, options.content) == (200, b"")
    assert set(options.headers["allow"].split(", ")) == methods
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - methods:
        refused = await service.call(method, path)
        assert refused.error == (405, "405 Method Not Allowed")
        assert set(refused.headers["allow"].split(", ")) == methods | {"OPTIONS"}


async def test_head_says_whether_a_queue_exists(service: Service) -> None:
    assert (await service.call("HEAD", "/v2/queues/q")).status == 404
    await service.put("/v2/queues/q")
    answer = await service.call("HEAD", "/v2/queues/q")
    assert (answer.status, answer.content) == (200, b"")


NAMES = {
    "one letter": ("q", True),
    "everything allowed": ("Az09_-.", True),
    "dots alone": ("...", True),
    "64 characters": ("q" * 64, True),
    "65 characters": ("q" * 65, False),
    "no character": ("", False),
    "a space": ("a%20b", False),
    "a trailing newline": ("a%0A", False),
    "NUL": ("a%00", False),
    "a letter beyond ASCII": ("caf%C3%A9", False),
    "a digit beyond ASCII": ("%D9%A1", False),
    "bytes that are no UTF-8": ("%FF", False),
    "a colon": ("a:b", False),
    "a question mark": ("a%3Fb", False),
    "a percent sign": ("a%25b", False),
}


@pytest.mark.parametrize(("name", "good"), NAMES.values(), ids=NAMES)
async def test_a_queue_name_is_1_to_64_plain_characters(
    service: Service, name: str, good: bool
) -> None:
    answer = await service.put(f"/v2/queues/{name}")
    if good:
        assert (answer.status, answer.headers["location"]) == (201, f"/v2/queues/{name}")
    else:
        assert answer.error == BAD_QUEUE
    posted = await service.post(f"/v2/queues/{name}/messages", {"messages": [{"body": 1}]})
    assert posted.status == (201 if good else 400)
    count = (await service.get("/v2/queues?with_count=1")).json.get("count", 0)
    assert count == int(good)


ODD_IDS = ["a", "%00", "%FF", "..", "a%0A", "é", "0" * 22, "f" * 22, "a" * 2000, "%20", "a=b"]


@pytest.mark.parametrize("odd", ODD_IDS)
async def test_odd_message_and_claim_ids_are_simply_unknown(service: Service, odd: str) -> None:
    await service.post_bodies("q", 1)
    for path in (f"/v2/queues/q/messages/{odd}", f"/v2/queues/q/claims/{odd}"):
        assert (await service.get(path)).error == (404, "Not found")
        assert (await service.delete(path)).status == 204
    assert (await service.patch(f"/v2/queues/q/claims/{odd}", {})).error[0] == 404
    assert await service.bodies("q") == [1]
