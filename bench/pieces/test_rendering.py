"""What is made of an operation's result."""

from __future__ import annotations

import json

import falcon.asgi
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.pieces.exchange import request
from queues import ids
from queues.model import Claim, Media, Message
from queues.operations.claims import ClaimView
from queues.operations.messages import Snapshot
from transport.responses import ResponseWriter

_NOW_MS = 1_800_000_000_000
_TAG = ids.queue_tag("bench", "queue")
_BODY = b'{"event": "' + b"x" * 88 + b'"}'

pytestmark = pytest.mark.benchmark(group="rendering")


def _messages(count: int, claim_id: str | None = None) -> list[Message]:
    return [
        Message(
            (_NOW_MS << 10) + number, _NOW_MS, 3600, _NOW_MS + 3_600_000, _BODY, Media.JSON,
            claim_id, 0, 0, None, number,
        )
        for number in range(count)
    ]  # fmt: skip


@pytest.fixture
def writer() -> ResponseWriter:
    return ResponseWriter(checksums=False, ids_per_address=20)


@pytest.mark.parametrize("count", [1, 10])
def test_posted(benchmark: BenchmarkFixture, writer: ResponseWriter, count: int) -> None:
    req, resp = request("POST", "/v2/queues/queue/messages"), falcon.asgi.Response()
    message_ids = [ids.message_id(message.seq, _TAG) for message in _messages(count)]
    benchmark(writer.posted, req, resp, "queue", message_ids)
    assert len(json.loads(resp.data or b"")["resources"]) == count


def test_page_of_10(benchmark: BenchmarkFixture, writer: ResponseWriter) -> None:
    req, resp = request("GET", "/v2/queues/queue/messages", "limit=10"), falcon.asgi.Response()
    page = Snapshot(_messages(10), _TAG, _NOW_MS, _NOW_MS << 10)
    benchmark(writer.message_page, req, resp, "queue", page)
    assert len(json.loads(resp.data or b"")["messages"]) == 10


def test_claim_of_10(benchmark: BenchmarkFixture, writer: ResponseWriter) -> None:
    req, resp = request("POST", "/v2/queues/queue/claims"), falcon.asgi.Response()
    claim = Claim("0" * 24, 300_000, _NOW_MS, _messages(10, "0" * 24))
    benchmark(writer.claimed, req, resp, "queue", ClaimView(claim, _TAG, _NOW_MS))
    assert len(json.loads(resp.data or b"")["messages"]) == 10
