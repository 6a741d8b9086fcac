"""MessagePack for requests and answers, and bodies between the two encodings."""

from __future__ import annotations

import base64
from typing import Any

import msgpack
import pytest

from tests.transport.service import MSGPACK, PATCH, Service

MESSAGES = "/v2/queues/q/messages"
SEND = {"Content-Type": MSGPACK}
ASK = {"Accept": MSGPACK}
MALFORMED = (400, "Invalid request body")


def posting(packed_body: bytes) -> bytes:
    return b"\x81\xa8messages\x91\x81\xa4body" + packed_body


async def test_everything_works_in_messagepack(service: Service) -> None:
    both = {**SEND, **ASK}
    created = await service.put("/v2/queues/q", data=msgpack.packb({"a": 1}), headers=both)
    assert created.status == 201
    shown = await service.get("/v2/queues/q", headers=ASK)
    assert shown.headers["content-type"] == MSGPACK
    assert shown.msgpack["a"] == 1
    document = {"messages": [{"body": b"\x00\xff", "ttl": 60}, {"body": {"x": [1.5, None]}}]}
    posted = await service.post(MESSAGES, data=msgpack.packb(document), headers=both)
    assert posted.headers["content-type"] == MSGPACK
    assert len(posted.msgpack["resources"]) == 2
    lease = msgpack.packb({"ttl": 60, "grace": None})
    claimed = await service.post("/v2/queues/q/claims", data=lease, headers=both)
    bodies = [message["body"] for message in claimed.msgpack["messages"]]
    assert bodies == [b"\x00\xff", {"x": [1.5, None]}]
    renewed = await service.patch(claimed.headers["location"], data=lease, headers=both)
    assert (renewed.status, renewed.content) == (204, b"")
    purge = msgpack.packb({"resource_types": ["messages"]})
    assert (await service.post("/v2/queues/q/purge", data=purge, headers=SEND)).status == 204


async def test_errors_come_in_messagepack_too(service: Service) -> None:
    answer = await service.get("/v2/queues?limit=0", headers=ASK)
    assert (answer.status, answer.headers["content-type"]) == (400, MSGPACK)
    assert set(answer.msgpack) == {"title", "description", "code"}


@pytest.mark.parametrize(
    "kind",
    ["application/x-msgpack", "application/vnd.msgpack", "Application/MsgPack; charset=binary"],
)
async def test_messagepack_has_several_names(service: Service, kind: str) -> None:
    headers = {"Content-Type": kind}
    answer = await service.post(MESSAGES, data=posting(b"\x01"), headers=headers)
    assert answer.status == 201


# A body in MessagePack -> the same in JSON. The packed form is not always the shortest.
PACKED: dict[str, tuple[bytes, bytes]] = {
    "null": (b"\xc0", b"null"),
    "an integer in its longest form": (b"\xd3\x00\x00\x00\x00\x00\x00\x00\x01", b"1"),
    "the largest integer": (b"\xcf\x7f" + b"\xff" * 7, b"9223372036854775807"),
    "a single float": (b"\xca\x3f\x80\x00\x00", b"1.0"),
    "a text in its longest form": (b"\xdb\x00\x00\x00\x01a", b'"a"'),
    "a text beyond ASCII": (b"\xa4\xf0\x9f\x98\x80", '"😀"'.encode()),
    "a map in its longest form": (b"\xdf\x00\x00\x00\x01\xa1b\xc3", b'{"b":true}'),
    "keys in any order": (b"\x82\xa1b\x01\xa1a\x02", b'{"b":1,"a":2}'),
    "a list": (b"\xdc\x00\x02\x01\xc2", b"[1,false]"),
    "binary becomes base64": (
        b"\xc4\x03\x00\xff\x10",
        b'"' + base64.b64encode(b"\0\xff\x10") + b'"',
    ),
}


@pytest.mark.parametrize(("packed", "as_json"), PACKED.values(), ids=PACKED)
async def test_a_packed_body_comes_back_byte_for_byte_or_as_json(
    service: Service, packed: bytes, as_json: bytes
) -> None:
    posted = await service.post(MESSAGES, data=posting(packed), headers=SEND)
    (href,) = posted.json["resources"]
    assert b"\xa4body" + packed in (await service.get(href, headers=ASK)).content
    assert b'"body":' + as_json in (await service.get(href)).content


ROUND: list[Any] = [None, True, 0, -1, 2**63 - 1, -(2**63), 1.5, 1.0, "", "ø😀\0", [], {}]


@pytest.mark.parametrize("body", [*ROUND, ROUND, {"a": ROUND, "": {}}], ids=repr)
async def test_a_json_body_can_be_had_in_messagepack(service: Service, body: object) -> None:
    (message_id,) = await service.post_bodies("q", body)
    answer = await service.get(f"{MESSAGES}/{message_id}", headers=ASK)
    unpacked = msgpack.unpackb(answer.content)
    assert unpacked["body"] == body
    assert repr(unpacked["body"]) == repr(body)
    assert set(unpacked) == {"id", "href", "ttl", "age", "body"}


def nested(levels: int) -> bytes:
    return b"\x91" * (levels - 1) + b"\x90"


# A whole document -> a word of the description.
REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty"),
    "JSON": (b'{"messages": [{"body": 1}]}', "parsed"),
    "a reserved byte": (b"\xc1", "parsed"),
    "two documents": (posting(b"\x01") * 2, "parsed"),
    "half a document": (posting(b"\xa5abc"), "parsed"),
    "a list that is shorter than it says": (posting(b"\xdd\xff\xff\xff\xff\x01"), "parsed"),
    "a text that is shorter than it says": (posting(b"\xdb\xff\xff\xff\xff"), "parsed"),
    "a map that is shorter than it says": (b"\xdf\xff\xff\xff\xff\xa1a\x01", "parsed"),
    "a list": (b"\x90", "object"),
    "a number as the list": (b"\x81\xa8messages\x01", "messages"),
    "an extension": (posting(b"\xd4\x01\x00"), "extension"),
    "a timestamp": (posting(b"\xd6\xff\x00\x00\x00\x01"), "extension"),
    "a timestamp that is none": (posting(b"\xd8\xff" + b"\xff" * 16), "timestamp"),
    "a number as a key": (posting(b"\x81\x01\x01"), "Keys"),
    "a list as a key": (posting(b"\x81\x91\x01\x01"), "Keys"),
    "a map as a key": (posting(b"\x81\x80\x01"), "parsed"),
    "binary as a key": (posting(b"\x81\xc4\x01a\x01"), "Keys"),
    "an extension as a key": (posting(b"\x81\xd4\x01\x00\x01"), "parsed"),
    "an integer beyond 64 bits": (posting(b"\xcf" + b"\xff" * 8), "64 bits"),
    "NaN": (posting(b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), "finite"),
    "infinity": (posting(b"\xca\x7f\x80\x00\x00"), "finite"),
    "text that is no UTF-8": (posting(b"\xa1\xff"), "parsed"),
    "a surrogate in UTF-8": (posting(b"\xa3\xed\xa0\x80"), "parsed"),
    "129 levels": (posting(nested(126)), "128 levels"),
    "129 levels and a number": (posting(b"\x91" * 126 + b"\x01"), "128 levels"),
    "100,000 levels": (posting(nested(100_000)), "128 levels"),
    "a ttl that is true": (b"\x81\xa8messages\x91\x82\xa4body\x01\xa3ttl\xc3", "ttl"),
    "a ttl that is a float": (
        b"\x81\xa8messages\x91\x82\xa4body\x01\xa3ttl\xca\x42\x70\x00\x00",
        "ttl",
    ),
}


@pytest.mark.parametrize(("data", "word"), REFUSED.values(), ids=REFUSED)
async def test_bad_messagepack_is_refused_and_stores_nothing(
    service: Service, data: bytes, word: str
) -> None:
    answer = await service.post(MESSAGES, data=data, headers=SEND)
    assert answer.error == MALFORMED
    assert word in answer.json["description"]
    assert (await service.get("/v2/queues")).json["queues"] == []


async def test_128_levels_are_fine_in_both_encodings(service: Service) -> None:
    for data, headers in (
        (posting(nested(125)), SEND),
        (b'{"messages":[{"body":' + b"[" * 125 + b"]" * 125 + b"}]}", {}),
    ):
        posted = await service.post(MESSAGES, data=data, headers=headers)
        assert posted.status == 201, posted.content
        for accept in (ASK, {}):
            assert (
                await service.get(posted.json["resources"][0], headers=accept)
            ).status == 200


async def test_metadata_is_the_same_in_both_encodings(service: Service) -> None:
    data = msgpack.packb({"bin": b"\x00\xff", "ø": [1, {"a": None}], "f": 1.0})
    assert (await service.put("/v2/queues/q", data=data, headers=SEND)).status == 201
    shown = (await service.get("/v2/queues/q")).json
    assert (shown["bin"], shown["ø"], shown["f"]) == ("AP8=", [1, {"a": None}], 1.0)


async def test_a_patch_in_json_may_be_answered_in_messagepack(service: Service) -> None:
    await service.put("/v2/queues/q")
    data = b'[{"op": "add", "path": "/metadata/a", "value": 1}]'
    answer = await service.patch(
        "/v2/queues/q", data=data, headers={"Content-Type": PATCH, **ASK}
    )
    assert answer.msgpack["a"] == 1
