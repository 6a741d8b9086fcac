"""Bodies on a real socket: chunked, oversized, late, and with a Content-Length that lies."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.transport.live import BODY_TIMEOUT_S, LiveServer, RawConnection

MESSAGES = "/v2/queues/q/messages"
DOCUMENT = b'{"messages": [{"body": "hello"}]}'
CAP_BYTES = 262_144


@pytest.fixture
def connection(live: LiveServer) -> Iterator[RawConnection]:
    with RawConnection(live.address) as raw:
        yield raw


@pytest.fixture(autouse=True)
def _nothing_else_is_stored(live: LiveServer) -> Iterator[None]:
    """Every test of this file starts on an empty queue and says what it stored."""
    delete(live)
    yield
    delete(live)


def delete(live: LiveServer) -> None:
    with RawConnection(live.address) as raw:
        raw.send_head("DELETE", "/v2/queues/q")
        assert raw.answer()[0] == 204


def stored(live: LiveServer) -> int:
    """Return how many messages there are, or -1 if there is not even a queue."""
    with RawConnection(live.address) as raw:
        raw.send_head("GET", "/v2/queues")
        if not raw.answer()[2]["queues"]:
            return -1
        raw.send_head("GET", "/v2/queues/q/stats")
        total: int = raw.answer()[2]["messages"]["total"]
        return total


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def test_an_oversized_body_is_refused_before_it_is_read(
    live: LiveServer, connection: RawConnection
) -> None:
    connection.send_head("POST", MESSAGES, content_length=str(CAP_BYTES + 1))
    connection.send(DOCUMENT)
    status, headers, document = connection.answer()
    assert (status, document["title"]) == (400, "Invalid API request")
    assert str(CAP_BYTES) in document["description"]
    assert headers["connection"] == "close"
    assert connection.is_closed()
    assert stored(live) == -1


@pytest.mark.parametrize("more", [{}, {"expect": "100-continue"}], ids=["", "asking"])
def test_an_oversized_body_is_refused_by_its_length_alone(
    live: LiveServer, connection: RawConnection, more: dict[str, str]
) -> None:
    connection.send_head("PUT", "/v2/queues/q", content_length=str(10**15), **more)
    assert connection.answer()[0] == 400
    assert connection.is_closed()
    assert stored(live) == -1


def test_an_oversized_chunked_body_is_refused_before_its_end(
    live: LiveServer, connection: RawConnection
) -> None:
    connection.send_head("POST", MESSAGES, transfer_encoding="chunked")
    connection.send(chunked(b'{"messages": [{"body": "', *[b"x" * 8192] * 33))
    status, headers, document = connection.answer()
    assert (status, document["title"]) == (400, "Invalid API request")
    assert headers["connection"] == "close"
    assert connection.is_closed()
    assert stored(live) == -1


def test_a_body_of_the_largest_size_is_taken(
    live: LiveServer, connection: RawConnection
) -> None:
    for headers, data in (
        ({"content_length": str(CAP_BYTES)}, DOCUMENT.ljust(CAP_BYTES)),
        (
            {"transfer_encoding": "chunked"},
            chunked(DOCUMENT, b" " * (CAP_BYTES - len(DOCUMENT)), b""),
        ),
    ):
        connection.send_head("POST", MESSAGES, **headers)
        connection.send(data)
        assert connection.answer()[0] == 201
    assert stored(live) == 2


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_chunked_body_is_like_any_other(
    live: LiveServer, connection: RawConnection, size: int
) -> None:
    connection.send_head("POST", MESSAGES, transfer_encoding="chunked")
    pieces = [DOCUMENT[at : at + size] for at in range(0, len(DOCUMENT), size)]
    connection.send(chunked(*pieces, b""))
    assert connection.answer()[0] == 201
    connection.send_head("GET", f"{MESSAGES}?echo=true")
    assert connection.answer()[2]["messages"][0]["body"] == "hello"


def test_a_chunked_body_changes_a_subscription(connection: RawConnection) -> None:
    path = "/v2/queues/q/subscriptions"
    connection.send_head("POST", path, transfer_encoding="chunked")
    connection.send(chunked(b'{"subscriber": "http://receiver.example/"}', b""))
    path += f"/{connection.answer()[2]['subscription_id']}"
    connection.send_head("PATCH", path, transfer_encoding="chunked")
    connection.send(chunked(b'{"ttl": ', b"60}", b""))
    assert connection.answer()[0] == 204
    connection.send_head("GET", path)
    assert connection.answer()[2]["ttl"] == 60
    connection.send_head("DELETE", path)
    assert connection.answer()[0] == 204


def test_a_chunked_body_may_be_empty_where_a_body_may_be_absent(
    connection: RawConnection,
) -> None:
    connection.send_head("PUT", "/v2/queues/q", transfer_encoding="chunked")
    connection.send(chunked(b""))
    assert connection.answer()[0] == 201


@pytest.mark.parametrize("sent", [b"", DOCUMENT], ids=["nothing of it", "most of it"])
def test_a_body_that_never_arrives_is_given_up_in_time(
    live: LiveServer, connection: RawConnection, sent: bytes
) -> None:
    begin_s = time.monotonic()
    connection.send_head("POST", MESSAGES, content_length=str(len(DOCUMENT) + 1))
    connection.send(sent)
    status, headers, document = connection.answer()
    assert (status, document["title"]) == (400, "Invalid request body")
    assert BODY_TIMEOUT_S * 0.9 < time.monotonic() - begin_s < BODY_TIMEOUT_S + 5
    assert headers["connection"] == "close"
    assert connection.is_closed()
    assert stored(live) == -1


@pytest.mark.parametrize("sent", [b"", chunked(DOCUMENT)], ids=["nothing of it", "its content"])
def test_a_chunked_body_without_an_end_is_given_up_in_time(
    live: LiveServer, connection: RawConnection, sent: bytes
) -> None:
    connection.send_head("POST", MESSAGES, transfer_encoding="chunked")
    connection.send(sent)
    assert connection.answer()[0] == 400
    assert connection.is_closed()
    assert stored(live) == -1


@pytest.mark.parametrize(
    ("headers", "data"),
    [
        ({"content_length": str(len(DOCUMENT) + 5)}, DOCUMENT),
        ({"transfer_encoding": "chunked"}, chunked(DOCUMENT)),
    ],
    ids=["by length", "chunked"],
)
def test_a_client_that_hangs_up_halfway_has_posted_nothing(
    live: LiveServer, headers: dict[str, str], data: bytes
) -> None:
    with RawConnection(live.address) as raw:
        raw.send_head("POST", MESSAGES, **headers)
        raw.send(data)
    live.settle()
    assert stored(live) == -1


def test_half_a_body_is_not_taken_for_an_absent_one(live: LiveServer) -> None:
    with RawConnection(live.address) as raw:
        raw.send_head("PUT", "/v2/queues/q", transfer_encoding="chunked")
    live.settle()
    assert stored(live) == -1


def test_a_content_length_that_is_too_short_stores_nothing(
    live: LiveServer, connection: RawConnection
) -> None:
    connection.send_head("POST", MESSAGES, content_length=str(len(DOCUMENT) - 1))
    connection.send(DOCUMENT)
    assert connection.answer()[0] == 400
    assert stored(live) == -1


WRONG_LENGTHS = {
    "no number": {"content_length": "ten"},
    "negative": {"content_length": "-1"},
    "with a sign": {"content_length": "+33"},
    "two of them": {"content_length": "33\r\ncontent-length: 34"},
    "beside chunks": {"content_length": "33", "transfer_encoding": "chunked"},
    "beyond 64 bits": {"content_length": "9" * 30},
    "an unknown transfer encoding": {"transfer_encoding": "rot13"},
}


@pytest.mark.parametrize("headers", WRONG_LENGTHS.values(), ids=WRONG_LENGTHS)
def test_a_wrong_length_is_a_400_and_ends_the_connection(
    live: LiveServer, connection: RawConnection, headers: dict[str, str]
) -> None:
    connection.send_head("POST", MESSAGES, **headers)
    connection.send(DOCUMENT)
    assert connection.answer()[0] == 400
    assert connection.is_closed()
    assert stored(live) == -1


def test_a_client_may_wait_until_its_body_is_asked_for(
    live: LiveServer, connection: RawConnection
) -> None:
    length = str(len(DOCUMENT))
    connection.send_head("POST", MESSAGES, content_length=length, expect="100-continue")
    assert connection.answer()[0] == 100
    connection.send(DOCUMENT)
    assert connection.answer()[0] == 201
    assert stored(live) == 1


def test_a_client_that_asks_for_http_2_is_served_all_the_same(
    live: LiveServer, connection: RawConnection
) -> None:
    wish = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2_settings": "AAM"}
    length = str(len(DOCUMENT))
    for _ in range(2):
        connection.send_head("POST", MESSAGES, content_length=length, **wish)
        connection.send(DOCUMENT)
        assert connection.answer()[0] == 201
    assert stored(live) == 2


def test_a_request_is_refused_by_its_headers_without_its_body(
    connection: RawConnection,
) -> None:
    for headers in ({"client_id": "x"}, {"accept": "text/html"}):
        connection.send_head("POST", MESSAGES, content_length=str(len(DOCUMENT)), **headers)
        assert connection.answer()[0] in {400, 406}
        connection.send(DOCUMENT)


def test_an_ordinary_error_does_not_end_the_connection(connection: RawConnection) -> None:
    for data in (b"{", b"[]", DOCUMENT[:-1]):
        connection.send_head("POST", MESSAGES, content_length=str(len(data)))
        connection.send(data)
        assert connection.answer()[0] == 400
    connection.send_head("POST", MESSAGES, content_length=str(len(DOCUMENT)), client_id="x")
    connection.send(DOCUMENT)
    connection.send_head("POST", MESSAGES, content_length=str(len(DOCUMENT)))
    connection.send(DOCUMENT)
    connection.send_head("HEAD", "/v2/queues/q")
    connection.send_head("GET", "/v2/ping")
    assert [connection.answer()[0] for _ in range(2)] == [400, 201]
    status, headers, _ = connection.answer()
    assert (status, headers.get("content-length", "0")) == (200, "0")
    assert connection.answer()[0] == 204


def test_a_refused_delete_or_get_with_a_body_leaves_the_connection_in_order(
    connection: RawConnection,
) -> None:
    for method, path in (("GET", "/v2/queues"), ("DELETE", f"{MESSAGES}?pop=1")):
        connection.send_head(method, path, content_length="5")
        connection.send(b"GET /")
        assert connection.answer()[0] == 200


@pytest.mark.parametrize("path", ["/v2/queues/q%2Fstats", "//v2/queues", "/v2/x/../queues"])
def test_no_other_spelling_of_a_path_reaches_a_route(
    connection: RawConnection, path: str
) -> None:
    connection.send_head("GET", path)
    assert connection.answer()[0] == 404
