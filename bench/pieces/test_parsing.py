"""What is done with a request before anything happens."""

from __future__ import annotations

from collections.abc import Sequence

import falcon.asgi
import pytest
import uvloop
from pytest_benchmark.fixture import BenchmarkFixture

from bench.pieces.exchange import request
from bench.requests import messages_document
from queues.config import Settings
from transport import headers
from transport.headers import HeaderReader
from transport.requests import PostedMessages, RequestReader

#: Requests that one round reads.
_AT_ONCE = 100

_PATH = "/v2/queues/bench/messages"

pytestmark = pytest.mark.benchmark(group="parsing")


def test_headers(benchmark: BenchmarkFixture) -> None:
    reader, req = HeaderReader(Settings()), request("GET", _PATH)
    assert benchmark(reader.client_id, req, req.context.caller.identity)


def test_project(benchmark: BenchmarkFixture) -> None:
    assert benchmark(headers.project, request("GET", _PATH)) == "bench"


def test_accept(benchmark: BenchmarkFixture) -> None:
    assert benchmark(headers.accepted, request("GET", _PATH)) == 0


def test_message_query(benchmark: BenchmarkFixture) -> None:
    reader, req = RequestReader(Settings()), request("GET", _PATH, "limit=10&echo=true")
    assert benchmark(reader.message_query, req).limit == 10


@pytest.mark.benchmark(group="parsing, 100 requests")
@pytest.mark.parametrize("count", [1, 10])
def test_posted_messages(benchmark: BenchmarkFixture, loop: uvloop.Loop, count: int) -> None:
    """A round is 100 requests."""
    reader, body = RequestReader(Settings()), messages_document(count, 100)

    async def read(requests: Sequence[falcon.asgi.Request]) -> list[PostedMessages]:
        return [await reader.messages(req) for req in requests]

    def setup() -> tuple[tuple[list[falcon.asgi.Request]], dict[str, object]]:
        return ([request("POST", _PATH, body=body) for _ in range(_AT_ONCE)],), {}

    def run(requests: Sequence[falcon.asgi.Request]) -> list[PostedMessages]:
        return loop.run_until_complete(read(requests))

    posted = benchmark.pedantic(run, setup=setup, rounds=100, warmup_rounds=5)
    assert all(len(one.drafts) == count for one in posted)
