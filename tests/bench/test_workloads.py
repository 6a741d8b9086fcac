"""What the workloads send."""

from __future__ import annotations

import json
from collections import deque

import pytest

from bench.client import LoadFailed
from bench.requests import Requests, hrefs, messages_document
from bench.workloads import WORKLOADS, Scene, names

_CREATED = b"HTTP/1.1 201 Created\r\n\r\n"
_CLAIMED = _CREATED + b'{"messages": [{"href": "/v2/queues/q/messages/1?claim_id=2"}]}'
_DELETED = b"HTTP/1.1 204 No Content\r\n\r\n"


def _scene() -> Scene:
    return Scene("127.0.0.1:1", "q", 100, deque([b"/v2/queues/q/messages/1"]))


@pytest.mark.parametrize("count", [1, 10])
def test_bodies_are_as_long_as_asked_for(count: int) -> None:
    messages = json.loads(messages_document(count, 100))["messages"]
    assert [len(json.dumps(message["body"])) for message in messages] == [100] * count
    assert messages_document(count, 100) == messages_document(count, 100)


def test_a_request_has_the_headers_that_a_server_needs() -> None:
    head, _, body = Requests("h:1").request("POST", "/p", b"abc").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /p HTTP/1.1"
    assert {"Host: h:1", "X-Project-ID: bench", "Content-Length: 3"} <= set(lines)
    assert body == b"abc"


@pytest.mark.parametrize("space", [b"", b" "])
def test_addresses_are_found_however_the_json_is_written(space: bytes) -> None:
    answer = b'x: "/v2/queues/no"\r\n\r\n{"a":%b["/v2/queues/q/messages/1","b"]}' % space
    assert hrefs(answer) == [b"/v2/queues/q/messages/1"]


def test_a_cycle_posts_claims_and_deletes_what_it_claimed() -> None:
    script = WORKLOADS["cycle"].script(_scene())
    assert next(script).startswith(b"POST /v2/queues/q/messages ")
    assert script.send(_CREATED).startswith(b"POST /v2/queues/q/claims?limit=1 ")
    deletion = script.send(_CLAIMED)
    assert deletion.startswith(b"DELETE /v2/queues/q/messages/1?claim_id=2 ")
    assert script.send(_DELETED).startswith(b"POST /v2/queues/q/messages ")


def test_claims_end_with_an_empty_queue_and_deletes_with_the_stock() -> None:
    claims = WORKLOADS["claim-10"].script(_scene())
    next(claims)
    with pytest.raises(StopIteration):
        claims.send(_DELETED)
    deletes = WORKLOADS["delete"].script(_scene())
    next(deletes)
    with pytest.raises(StopIteration):
        deletes.send(_DELETED)


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_every_workload_refuses_an_answer_that_says_no(name: str) -> None:
    scene = _scene()
    scene.stock *= 20
    for _ in range(20):
        script = WORKLOADS[name].script(scene)
        next(script)
        with pytest.raises(LoadFailed, match="503"):
            script.send(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")


def test_mixed_is_the_same_for_the_same_seed_and_reaches_many_queues() -> None:
    first, second = (WORKLOADS["mixed"].script(_scene()) for _ in range(2))
    sent = [next(first)], [next(second)]
    for _ in range(200):
        for script, requests in zip((first, second), sent, strict=True):
            status = b"200" if requests[-1].startswith(b"GET") else b"201"
            requests.append(script.send(b"HTTP/1.1 %b X\r\n\r\n" % status))
    assert sent[0] == sent[1]
    assert len({request.split(b" ")[1] for request in sent[0]}) > 10


def test_no_choice_is_every_workload() -> None:
    assert names([]) == list(WORKLOADS)
    assert names(["get"]) == ["get"]
