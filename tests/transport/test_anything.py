"""Whatever is sent, nothing is a 500, and every refusal has the shape of an error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from falcon import testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queues.config import Settings
from storage_drivers import open_storage
from tests.clock import MovableClock
from tests.transport.service import (
    CALLER,
    CLIENT,
    JSON,
    MSGPACK,
    PATCH,
    Answer,
    Service,
    running,
)

BOUNDED = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
PARAMETERS = [
    *("limit", "marker", "ids", "pop", "claim_id", "claim_ids", "echo", "detailed"),
    *("include_claimed", "include_delayed", "name", "with_count", "x", ""),
]
METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"]

names = st.sampled_from(["q", "dead", "", ".", "a" * 65]) | st.text(max_size=8)
ids = st.sampled_from(["0" * 22, "x", ""]) | st.text(max_size=8)
paths = st.one_of(
    st.sampled_from(["/", "/v2", "/v2/", "/v2/queues", "/v2/ping", "/v2/health", "/nowhere"]),
    st.builds("/v2/queues/{}".format, names.map(lambda name: quote(name, safe=""))),
    st.builds(
        "/v2/queues/{}/{}".format,
        st.sampled_from(["q", "dead"]),
        st.sampled_from(["stats", "purge", "messages", "claims", "nothing"]),
    ),
    st.builds(
        "/v2/queues/q/{}/{}".format,
        st.sampled_from(["messages", "claims"]),
        ids.map(lambda text: quote(text, safe="")),
    ),
)
parameters = st.lists(
    st.tuples(
        st.sampled_from(PARAMETERS),
        st.sampled_from(["1", "0", "20", "true", "", ",", "a,b", "%", "%ff", "%00", "9" * 40])
        | st.text(max_size=6).map(lambda text: quote(text)),
    ),
    max_size=4,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
numbers = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([0, 60, 300, 10**400])
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = [
    *("messages", "body", "ttl", "delay", "grace", "resource_types", "op", "path", "value"),
    *("_default_message_ttl", "_dead_letter_queue", "_max_claim_count", "_retry_policy"),
]
documents = st.recursive(
    values | st.sampled_from(["add", "remove", "/metadata/a", "messages", "dead"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
bodies = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.binary(max_size=40).map(lambda data: b"\x81\xa8messages\x91\x81\xa4body" + data),
    documents.map(lambda value: json.dumps(value).encode()),
    documents.map(lambda value: json.dumps({"messages": [{"body": value}]}).encode()),
    documents.map(lambda value: json.dumps([{"op": "add", "path": value}]).encode()),
)
header_texts = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"),
    max_size=12,
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from([JSON, MSGPACK, PATCH, "text/plain", "a/b; c"])
        | header_texts,
        "Accept": st.sampled_from(["*/*", JSON, MSGPACK, "text/html", "a/b;q=x"])
        | header_texts,
        "Idempotency-Key": st.sampled_from(["k", "k2"]) | header_texts,
        "Client-ID": st.just(CLIENT) | header_texts,
        "X-Project-ID": st.just("p1") | header_texts,
    },
)


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def service(loop: asyncio.Runner, tmp_path: Path, clock: MovableClock) -> Iterator[Service]:
    storage = open_storage(f"sqlite:///{tmp_path / 'nusku.db'}", timeout_ms=5000)
    # Hypothesis objects to random numbers while it generates, and a sweep begins with one.
    context = running(storage, clock, Settings(sweep_interval_s=3600, enable_checksum=True))
    running_service = loop.run(context.__aenter__())
    loop.run(running_service.put("/v2/queues/q", {"_max_claim_count": 1, "a": 1}))
    yield running_service
    loop.run(context.__aexit__(None, None, None))


def test_no_request_is_a_500(loop: asyncio.Runner, service: Service) -> None:
    @given(
        method=st.sampled_from(METHODS),
        path=paths,
        query=parameters,
        sent=headers,
        body=bodies,
    )
    @BOUNDED
    def answers(
        method: str, path: str, query: str, sent: dict[str, str], body: bytes | None
    ) -> None:
        call = service.conductor.simulate_request(
            method, path, query_string=query, headers={**CALLER, **sent}, body=body
        )
        check(method, loop.run(call))

    answers()


def check(method: str, result: testing.Result) -> None:
    answer = Answer(result)
    assert answer.status in {200, 201, 204, 300, 400, 403, 404, 405, 406, 409, 415}
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    if answer.status >= 400 and answer.content:
        if answer.headers["content-type"] == MSGPACK:
            assert {"title", "description"} <= set(answer.msgpack)
        else:
            assert answer.error[0] == answer.status
    elif answer.content and answer.headers["content-type"] == JSON:
        json.loads(answer.content, parse_constant=pytest.fail)


WRITES = [
    ("PUT", "/v2/queues/r", JSON),
    ("PATCH", "/v2/queues/q", PATCH),
    ("POST", "/v2/queues/q/messages", JSON),
    ("POST", "/v2/queues/q/messages", MSGPACK),
    ("POST", "/v2/queues/q/claims", JSON),
    ("PATCH", "/v2/queues/q/claims/c", MSGPACK),
    ("POST", "/v2/queues/q/purge", JSON),
]


@pytest.mark.parametrize(("method", "path", "kind"), WRITES)
def test_no_body_is_a_500(
    loop: asyncio.Runner, service: Service, method: str, path: str, kind: str
) -> None:
    @given(body=bodies)
    @BOUNDED
    def answers(body: bytes | None) -> None:
        call = service.conductor.simulate_request(
            method, path, headers={**CALLER, "Content-Type": kind}, body=body
        )
        check(method, loop.run(call))
        # Whatever was accepted can be given back, in both encodings.
        for accept in (JSON, MSGPACK):
            for listing in ("/v2/queues/q/messages?echo=1&limit=20", "/v2/queues?detailed=1"):
                shown = service.call("GET", listing, headers={"Accept": accept})
                assert loop.run(shown).status == 200
        loop.run(service.delete("/v2/queues/r"))
        loop.run(service.delete("/v2/queues/q/messages?pop=20"))

    answers()
