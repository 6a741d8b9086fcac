"""Bad bodies: each is refused with a 400 that says why, and nothing changes."""

from __future__ import annotations

import pytest

from tests.transport.service import JSON, MSGPACK, PATCH, Service

MALFORMED = (400, "Invalid request body")
INVALID = (400, "Invalid API request")

# Where a body may go: in each, %b stands where a value of any kind may stand.
PLACES: dict[str, tuple[str, str, bytes]] = {
    "post": ("POST", "/v2/queues/q/messages", b'{"messages":[{"body":%b}]}'),
    "post, ignored": ("POST", "/v2/queues/q/messages", b'{"messages":[{"body":1}],"x":%b}'),
    "put": ("PUT", "/v2/queues/new", b'{"x":%b}'),
    "patch": ("PATCH", "/v2/queues/q", b'[{"op":"add","path":"/metadata/x","value":%b}]'),
    "claim": ("POST", "/v2/queues/q/claims", b'{"x":%b}'),
    "renew": ("PATCH", "/v2/queues/q/claims/c", b'{"x":%b}'),
    "purge": ("POST", "/v2/queues/q/purge", b'{"resource_types":["messages"],"x":%b}'),
}

# A value that no JSON document may hold -> a word of the description.
VALUES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "parsed"),
    "a bare word": (b"yes", "parsed"),
    "NaN": (b"NaN", "parsed"),
    "Infinity": (b"Infinity", "parsed"),
    "-Infinity": (b"-Infinity", "parsed"),
    "1e999": (b"1e999", "not as expected: Number out of range"),
    "-1e999": (b"[-1e999]", "not as expected: Number out of range"),
    "2^63": (b"9223372036854775808", "64 bits"),
    "-2^63-1": (b"[-9223372036854775809]", "64 bits"),
    "2^64": (b'{"a":18446744073709551616}', "64 bits"),
    "5000 digits": (b"9" * 5000, "range"),
    "a leading zero": (b"01", "parsed"),
    "a plus sign": (b"+1", "parsed"),
    "a lone dot": (b"1.", "parsed"),
    "hexadecimal": (b"0x1", "parsed"),
    "a lone high surrogate": (b'"\\ud800"', "a lone surrogate"),
    "a lone low surrogate": (b'"\\udc00"', "a lone surrogate"),
    "surrogates in the wrong order": (b'"\\udc00\\ud800"', "a lone surrogate"),
    "a lone surrogate as a key": (b'{"\\ud800":1}', "a lone surrogate"),
    "a surrogate in UTF-8": (b'"\xed\xa0\x80"', "parsed"),
    "invalid UTF-8": (b'"\xff"', "parsed"),
    "half a character": (b'"\xc3"', "parsed"),
    "an overlong character": (b'"\xc0\xaf"', "parsed"),
    "a raw newline in a text": (b'"a\nb"', "parsed"),
    "a raw NUL in a text": (b'"a\0b"', "parsed"),
    "a bad escape": (b'"\\x41"', "parsed"),
    "an unfinished text": (b'"abc', "parsed"),
    "single quotes": (b"'a'", "parsed"),
    "a trailing comma in a list": (b"[1,]", "parsed"),
    "a trailing comma in an object": (b'{"a":1,}', "parsed"),
    "a key without quotes": (b"{a:1}", "parsed"),
    "a number as a key": (b"{1:1}", "parsed"),
    "a comment": (b"1 // one", "parsed"),
    "an unclosed list": (b"[1", "parsed"),
    "a closed list too many": (b"1]", "parsed"),
    "129 levels": (b"[" * 129 + b"]" * 129, "128 levels"),
    "129 levels of objects": (b'{"a":' * 128 + b"{}" + b"}" * 128, "128 levels"),
    "129 mixed levels": (b'[{"a":' * 64 + b"[]" + b"}]" * 64, "128 levels"),
    "100,000 levels": (b"[" * 100_000 + b"]" * 100_000, "128 levels"),
    "100,000 levels, unclosed": (b"[" * 100_000, "128 levels"),
}
CAPPED = {name for name, (value, _) in VALUES.items() if len(value) > 65_000}


@pytest.fixture
async def busy(service: Service) -> Service:
    """A service with a queue in which there is something that could change."""
    await service.put("/v2/queues/q", {"a": 1})
    await service.post_bodies("q", "claimed")
    await service.claim("q")
    await service.post_bodies("q", "ready")
    return service


@pytest.mark.parametrize("place", PLACES)
async def test_a_value_that_is_no_json_is_refused_wherever_it_stands(
    busy: Service, place: str
) -> None:
    method, path, template = PLACES[place]
    headers = {"Content-Type": PATCH if place == "patch" else JSON}
    before = await busy.state()
    for name, (value, word) in VALUES.items():
        answer = await busy.call(method, path, data=template % value, headers=headers)
        if name in CAPPED and not place.startswith("post"):
            assert answer.error == INVALID, name
            continue
        assert answer.error == MALFORMED, name
        assert word in answer.json["description"], name
    assert await busy.state() == before


# Whole documents, of which none is an object or a list of operations.
DOCUMENTS = {
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "a number": b"1",
    "a text": b'"a"',
    "null": b"null",
    "true": b"true",
    "a space": b" ",
    "white space": b" \t\r\n",
    "NUL": b"\0",
    "two documents": b"{}{}",
    "something behind": b"{} x",
    "a list of lists": b"[[]]",
    "MessagePack": b"\x81\xa1a\x01",
    "a form": b"a=1&b=2",
    "XML": b"<a/>",
    "random bytes": bytes(range(255, 0, -1)),
}


@pytest.mark.parametrize("place", PLACES)
async def test_a_document_of_another_kind_is_refused(busy: Service, place: str) -> None:
    method, path, _ = PLACES[place]
    headers = {"Content-Type": PATCH if place == "patch" else JSON}
    before = await busy.state()
    for name, data in DOCUMENTS.items():
        answer = await busy.call(method, path, data=data, headers=headers)
        assert answer.error == MALFORMED, name
    wrong = b"{}" if place == "patch" else b"[]"
    assert (await busy.call(method, path, data=wrong, headers=headers)).error == MALFORMED
    assert await busy.state() == before


@pytest.mark.parametrize("place", ["post", "patch", "renew"])
async def test_a_missing_body_is_refused_where_one_is_needed(busy: Service, place: str) -> None:
    method, path, _ = PLACES[place]
    headers = {"Content-Type": PATCH if place == "patch" else JSON}
    before = await busy.state()
    for data in (None, b""):
        answer = await busy.call(method, path, data=data, headers=headers)
        assert answer.error == MALFORMED
    assert await busy.state() == before


async def test_the_wrong_content_type_does_not_make_a_document_of_it(busy: Service) -> None:
    before = await busy.state()
    method, path, template = PLACES["post"]
    as_msgpack = {"Content-Type": MSGPACK}
    answer = await busy.call(method, path, data=template % b"1", headers=as_msgpack)
    assert answer.error == MALFORMED
    assert await busy.state() == before


async def test_of_a_repeated_key_the_last_counts(service: Service) -> None:
    data = b'{"messages": [], "messages": [{"body": 1, "ttl": 1, "body": 2, "ttl": 60}]}'
    assert (await service.post("/v2/queues/q/messages", data=data)).status == 201
    (message,) = (await service.get("/v2/queues/q/messages?echo=1")).json["messages"]
    assert (message["body"], message["ttl"]) == (2, 60)
    assert (await service.put("/v2/queues/r", data=b'{"a": 1, "a": 2}')).status == 201
    assert (await service.get("/v2/queues/r")).json["a"] == 2


async def test_128_levels_are_fine_wherever_they_stand(service: Service) -> None:
    await service.put("/v2/queues/q")
    levels = {"post": 125, "post, ignored": 127, "put": 127, "patch": 126}
    for place, count in {**levels, "claim": 127, "purge": 127}.items():
        method, path, template = PLACES[place]
        headers = {"Content-Type": PATCH if place == "patch" else JSON}
        for extra, good in ((0, True), (1, False)):
            value = b"[" * (count + extra) + b"]" * (count + extra)
            answer = await service.call(method, path, data=template % value, headers=headers)
            assert (answer.status < 300) == good, (place, count + extra, answer.content)
    assert (await service.get("/v2/queues/q")).status == 200


async def test_brackets_in_texts_are_no_levels(service: Service) -> None:
    text = '"[[[{{{' + "[" * 200 + '\\"' + "{" * 200
    assert len(await service.post_bodies("q", text, [text], {text: text})) == 3
    assert await service.bodies("q") == [text, [text], {text: text}]
