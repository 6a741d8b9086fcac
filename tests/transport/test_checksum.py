"""Zaqar's checksum of message bodies."""

from __future__ import annotations

import hashlib
import json

import msgspec
import pytest

from tests.transport.conftest import Start
from tests.transport.service import MSGPACK, Service

MESSAGES = "/v2/queues/q/messages"


async def test_there_is_no_checksum_unless_the_server_is_told_so(service: Service) -> None:
    await service.post_bodies("q", {"event": "BackupStarted"})
    (message,) = (await service.get(f"{MESSAGES}?echo=1")).json["messages"]
    assert "checksum" not in message


async def test_the_checksum_of_zaqars_documentation(start: Start) -> None:
    checksum = "MD5:82eb2714b7c0237d373947c046cac78d"
    async with start(enable_checksum=True) as service:
        data = b'{"messages": [{"body": {"event":"BackupStarted"}}]}'
        (href,) = (await service.post(MESSAGES, data=data)).json["resources"]
        assert (await service.get(href)).json["checksum"] == checksum
        assert (await service.get(f"{href}?detailed=1")).json["checksum"] == checksum
        listed = (await service.get(f"{MESSAGES}?echo=1")).json["messages"]
        claimed = (await service.post("/v2/queues/q/claims?limit=1")).json["messages"]
        await service.delete(f"/v2/queues/q/claims/{claimed[0]['href'].rpartition('=')[2]}")
        popped = (await service.delete(f"{MESSAGES}?pop=1")).json["messages"]
        for (message,) in (listed, claimed, popped):
            assert message["checksum"] == checksum


@pytest.mark.parametrize(
    "body", [0, "", "ø", 1.5, True, [], {"b": 1, "a": [1, {"é": "😀"}]}], ids=repr
)
async def test_a_checksum_is_that_of_the_body_as_python_writes_it(
    start: Start, body: object
) -> None:
    digest = hashlib.md5(json.dumps(body).encode(), usedforsecurity=False).hexdigest()
    async with start(enable_checksum=True) as service:
        (json_id,) = await service.post_bodies("q", body)
        data = msgspec.msgpack.encode({"messages": [{"body": body}]})
        posted = await service.post(MESSAGES, data=data, headers={"Content-Type": MSGPACK})
        for href in (f"{MESSAGES}/{json_id}", *posted.json["resources"]):
            assert (await service.get(href)).json["checksum"] == f"MD5:{digest}"


async def test_null_has_no_checksum(start: Start) -> None:
    async with start(enable_checksum=True) as service:
        (message_id,) = await service.post_bodies("q", None)
        assert "checksum" not in (await service.get(f"{MESSAGES}/{message_id}")).json
