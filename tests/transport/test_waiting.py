"""Requests that wait (long poll): what they answer, and when."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.transport.conftest import Start
from tests.transport.service import Answer, Service

CLAIMS = "/v2/queues/q/claims"
MESSAGES = "/v2/queues/q/messages"

REQUESTS = {
    "claim": ("POST", f"{CLAIMS}?wait=30"),
    "list": ("GET", f"{MESSAGES}?wait=30&echo=true"),
    "pop": ("DELETE", f"{MESSAGES}?pop=1&wait=30"),
}


def waiting(service: Service, method: str, path: str) -> asyncio.Task[Answer]:
    return asyncio.create_task(service.wait(method, path))


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_it_is_answered_as_soon_as_there_is_something(
    service: Service, request_: tuple[str, str]
) -> None:
    began = time.monotonic()
    answering = waiting(service, *request_)
    await asyncio.sleep(0.1)
    assert not answering.done()
    await service.post_bodies("q", "hello")
    answer = await answering
    assert answer.status in {200, 201}
    assert [message["body"] for message in answer.json["messages"]] == ["hello"]
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_what_is_there_already_is_answered_at_once(
    service: Service, request_: tuple[str, str]
) -> None:
    await service.post_bodies("q", "hello")
    answer = await service.wait(*request_)
    assert [message["body"] for message in answer.json["messages"]] == ["hello"]


EMPTY = {
    "claim": ("POST", f"{CLAIMS}?wait=1", None),
    "list": ("GET", f"{MESSAGES}?wait=1", {"messages": [], "links": []}),
    "pop": ("DELETE", f"{MESSAGES}?pop=1&wait=1", {"messages": []}),
}


@pytest.mark.parametrize("request_", EMPTY.values(), ids=EMPTY)
async def test_it_answers_like_without_a_wait_when_that_is_over(
    service: Service, request_: tuple[str, str, object]
) -> None:
    method, path, document = request_
    began = time.monotonic()
    answer = await service.wait(method, path)
    assert time.monotonic() - began >= 1
    if document is None:
        assert (answer.status, answer.content) == (204, b"")
    else:
        assert (answer.status, answer.json) == (200, document)


async def test_a_popped_message_looks_as_without_a_wait(service: Service) -> None:
    await service.post_bodies("q", 1, 2)
    (plain,) = (await service.delete(f"{MESSAGES}?pop=1")).json["messages"]
    (waited,) = (await service.wait("DELETE", f"{MESSAGES}?pop=1&wait=5")).json["messages"]
    assert {**plain, "id": 0, "body": 0} == {**waited, "id": 0, "body": 0}
    assert (await service.get("/v2/queues/q/stats")).json["messages"]["total"] == 0


async def test_a_key_works_with_a_wait(service: Service) -> None:
    headers = {"Idempotency-Key": "k"}
    assert (await service.wait("POST", f"{CLAIMS}?wait=1", headers=headers)).status == 204
    await service.post_bodies("q", "hello")
    first = await service.wait("POST", f"{CLAIMS}?wait=5", headers=headers)
    again = await service.wait("POST", f"{CLAIMS}?wait=10", headers=headers)
    without = await service.post(CLAIMS, headers=headers)
    places = {answer.headers["location"] for answer in (first, again, without)}
    assert len(places) == 1


async def test_several_that_wait_get_one_message_each(service: Service) -> None:
    answering = [waiting(service, "POST", f"{CLAIMS}?limit=1&wait=30") for _ in range(5)]
    await asyncio.sleep(0.1)
    for body in range(5):
        await service.post_bodies("q", body)
    answers = await asyncio.gather(*answering)
    bodies = [message["body"] for answer in answers for message in answer.json["messages"]]
    assert sorted(bodies) == [0, 1, 2, 3, 4]


async def test_a_request_counts_once_however_often_it_looks(start: Start) -> None:
    async with start(rate_requests_per_s=10) as service:  # and the clock stands still
        answering = waiting(service, "DELETE", f"{MESSAGES}?pop=1&wait=30")
        await service.post_bodies("q", *["delayed"] * 20, delay=60)
        await service.post_bodies("q", "hello")
        assert (await answering).status == 200
        requests = 3
        while (await service.get("/v2/queues")).status == 200:
            requests += 1
    assert requests == 10


async def test_the_longest_wait_is_a_setting(start: Start) -> None:
    async with start(max_wait_s=2) as service:
        assert (await service.wait("POST", f"{CLAIMS}?wait=3")).status == 400
        assert (await service.wait("POST", f"{CLAIMS}?wait=1")).status == 204


async def test_who_waits_when_the_application_stops_is_answered(start: Start) -> None:
    began = time.monotonic()
    async with start() as service:
        answering = [waiting(service, *request) for request in REQUESTS.values()]
        await asyncio.sleep(0.1)
    assert [answer.status for answer in await asyncio.gather(*answering)] == [204, 200, 200]
    assert time.monotonic() - began < 10
