"""Clients that leave while they wait, on a real socket: they take no message with them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.transport.live import LiveServer, RawConnection
from tests.transport.service import CALLER

QUEUE = "/v2/queues/q"
DOCUMENT = b'{"messages": [{"body": "hello"}]}'

WAITING = {
    "claim": ("POST", f"{QUEUE}/claims?wait=60"),
    "list": ("GET", f"{QUEUE}/messages?wait=60"),
    "pop": ("DELETE", f"{QUEUE}/messages?pop=1&wait=60"),
}
EACH = pytest.mark.parametrize("waiting", WAITING.values(), ids=WAITING)


@pytest.fixture(autouse=True)
def _empty(live: LiveServer) -> Iterator[None]:
    assert said(live, "DELETE", QUEUE)[0] == 204
    yield
    live.settle()


def said(live: LiveServer, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    """Return status and document of an answer on a connection of its own."""
    with RawConnection(live.address) as raw:
        raw.send_head(method, path, content_length=str(len(body)))
        raw.send(body)
        status, _, document = raw.answer()
    return status, document


def assert_everything_is_there(live: LiveServer) -> None:
    """Post a message, and claim it at once: nobody else has had it."""
    assert said(live, "POST", f"{QUEUE}/messages", DOCUMENT)[0] == 201
    status, document = said(live, "POST", f"{QUEUE}/claims?detailed=true")
    assert status == 201
    assert [message["claim_count"] for message in document["messages"]] == [1]


@EACH
def test_who_closes_the_connection_takes_nothing(
    live: LiveServer, waiting: tuple[str, str]
) -> None:
    with RawConnection(live.address) as gone:
        gone.send_head(*waiting)
        live.until_somebody_waits()
    live.settle()
    assert_everything_is_there(live)


@EACH
def test_who_says_that_nothing_more_comes_leaves(
    live: LiveServer, waiting: tuple[str, str]
) -> None:
    with RawConnection(live.address) as gone:
        gone.send_head(*waiting)
        live.until_somebody_waits()
        gone.send_eof()
        assert gone.is_closed()
        live.settle()
    assert_everything_is_there(live)


@EACH
def test_who_sends_another_request_while_it_waits_is_cut_off(
    live: LiveServer, waiting: tuple[str, str]
) -> None:
    with RawConnection(live.address) as hasty:
        hasty.send_head(*waiting)
        live.until_somebody_waits()
        hasty.send_head("GET", "/v2/ping")
        assert hasty.answer()[0] == 400
        assert hasty.is_closed()
        live.settle()
    assert_everything_is_there(live)


@EACH
def test_who_sends_two_requests_at_once_does_not_wait(
    live: LiveServer, waiting: tuple[str, str]
) -> None:
    began = time.monotonic()
    with RawConnection(live.address) as hasty:
        head = "{} {} HTTP/1.1\r\nhost: t\r\nclient-id: {}\r\nx-project-id: p1\r\n\r\n"
        client = "3381af92-2b9e-11e3-b191-71861300734c"
        both = head.format(*waiting, client) + head.format("GET", "/v2/ping", client)
        hasty.send(both.encode())
        assert hasty.answer()[0] in {200, 204}
        assert hasty.answer()[0] == 204
    assert time.monotonic() - began < 10


def test_who_stops_listening_is_let_go(live: LiveServer) -> None:
    with RawConnection(live.address) as gone:
        gone.send_head("GET", f"{QUEUE}/messages", accept="text/event-stream")
        live.until_somebody_waits()
    live.settle()


def test_events_come_over_a_socket(live: LiveServer) -> None:
    url = "http://{}:{}".format(*live.address)
    headers = {**CALLER, "Accept": "text/event-stream"}
    with httpx.stream("GET", f"{url}{QUEUE}/messages?echo=true", headers=headers) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": "
        assert said(live, "POST", f"{QUEUE}/messages", DOCUMENT)[0] == 201
        found = [next(lines) for _ in range(4)]
    assert [line.partition(": ")[0] for line in found] == ["", "id", "data", ""]
    live.settle()


def test_a_stream_is_not_interrupted_to_ask_for_a_body(live: LiveServer) -> None:
    with RawConnection(live.address) as odd:
        wishes = {"accept": "text/event-stream", "expect": "100-continue"}
        odd.send_head("GET", f"{QUEUE}/messages?echo=true", **wishes)
        assert odd.answer()[0] == 200
        assert said(live, "POST", f"{QUEUE}/messages", DOCUMENT)[0] == 201
        assert odd.chunks(2)[0] == b": \n\n"


def test_a_connection_goes_on_after_a_wait(live: LiveServer) -> None:
    with RawConnection(live.address) as patient:
        patient.send_head("POST", f"{QUEUE}/claims?wait=60")
        live.until_somebody_waits()
        assert said(live, "POST", f"{QUEUE}/messages", DOCUMENT)[0] == 201
        assert patient.answer()[0] == 201
        patient.send_head("GET", "/v2/ping")
        assert patient.answer()[0] == 204
        patient.send_head("POST", f"{QUEUE}/claims?wait=1")
        assert patient.answer()[0] == 204
