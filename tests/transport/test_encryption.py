"""Encrypted queues over HTTP, from the file of keys to the bytes on disk."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from queues.config import Settings
from tests.clock import MovableClock
from tests.transport.listening import Listener
from tests.transport.service import MSGPACK, Service, running
from transport import event_streams
from transport.composition import storage

With = Callable[..., AbstractAsyncContextManager[Service]]

MESSAGES = "/v2/queues/q/messages"
BODY = {"plan": "attack at dawn"}
ENCRYPTED = {"_enable_encrypt_messages": True}
K1, K2 = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))


@pytest.fixture
def server(tmp_path: Path, clock: MovableClock) -> With:
    """Return how to run a server on the one store with these keys, the current one first."""

    def begin(**keys: str) -> AbstractAsyncContextManager[Service]:
        file = tmp_path / f"{'-'.join(keys) or 'none'}.toml"
        lines = [f'{key_id} = "{secret}"' for key_id, secret in keys.items()]
        file.write_text("\n".join(["[encryption]", *lines]), encoding="utf-8")
        settings = Settings(storage=f"sqlite:///{tmp_path / 'nusku.db'}", keys_file=str(file))
        return running(storage(settings), clock, settings)

    return begin


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("nusku.db*"))


async def encrypted(service: Service, *bodies: object, **metadata: object) -> list[str]:
    await service.put("/v2/queues/q", {**ENCRYPTED, **metadata})
    return await service.post_bodies("q", *(bodies or (BODY,)))


async def test_bodies_are_read_over_every_way_and_are_not_on_disk(
    server: With, tmp_path: Path
) -> None:
    async with server(k1=K1) as service:
        first, second = await encrypted(service, BODY, BODY)
        assert (await service.get(f"{MESSAGES}/{first}")).json["body"] == BODY
        several = await service.get(f"{MESSAGES}?ids={first},{second}")
        assert [message["body"] for message in several.json["messages"]] == [BODY, BODY]
        assert await service.bodies("q") == [BODY, BODY]
        claimed = await service.post("/v2/queues/q/claims?limit=1")
        assert [message["body"] for message in claimed.json["messages"]] == [BODY]
        claim = await service.get(claimed.headers["location"])
        assert [message["body"] for message in claim.json["messages"]] == [BODY]
        popped = (await service.delete(f"{MESSAGES}?pop=1")).json["messages"]
        assert [(message["body"], message["claim_count"]) for message in popped] == [(BODY, 0)]
        assert (await service.get("/v2/queues/q/stats")).json["messages"]["total"] == 1
        assert (await service.get("/v2/queues/q")).json["_enable_encrypt_messages"] is True
    assert b"dawn" not in on_disk(tmp_path)


async def test_what_is_not_asked_to_be_encrypted_is_not(server: With, tmp_path: Path) -> None:
    async with server(k1=K1) as service:
        await service.post_bodies("q", BODY)
        assert await service.bodies("q") == [BODY]
        assert b"dawn" in on_disk(tmp_path)
        await service.patch_queue(
            "q", {"op": "add", "path": "/metadata/_enable_encrypt_messages", "value": True}
        )
        await service.post_bodies("q", "at dusk")
        assert await service.bodies("q") == [BODY, "at dusk"]
    assert b"dusk" not in on_disk(tmp_path)


async def test_json_that_was_posted_can_be_had_as_messagepack(server: With) -> None:
    async with server(k1=K1) as service:
        await encrypted(service)
        answer = await service.get(f"{MESSAGES}?echo=1", headers={"Accept": MSGPACK})
        assert [message["body"] for message in answer.msgpack["messages"]] == [BODY]


async def test_a_dead_letter_can_be_read_where_it_arrives(server: With, tmp_path: Path) -> None:
    async with server(k1=K1) as service:
        await encrypted(service, _dead_letter_queue="dead", _max_claim_count=1)
        await service.claim("q", {"ttl": 60, "grace": 60})
        service.clock.advance(s=61)
        assert (await service.post("/v2/queues/q/claims")).status == 204
        assert await service.bodies("dead") == [BODY]
        popped = await service.delete("/v2/queues/dead/messages?pop=1")
        assert popped.json["messages"][0]["body"] == BODY
    assert b"dawn" not in on_disk(tmp_path)


async def test_a_dead_letter_that_goes_back_stays_encrypted_wherever_it_goes(
    server: With, tmp_path: Path
) -> None:
    async with server(k1=K1) as service:
        await encrypted(service, _dead_letter_queue="dead", _max_claim_count=1)
        await service.claim("q", {"ttl": 60, "grace": 60})
        service.clock.advance(s=61)
        assert (await service.post("/v2/queues/q/claims")).status == 204
        receiver = {"subscriber": "https://receiver.invalid/"}
        assert (await service.post("/v2/queues/plain/subscriptions", receiver)).status == 201
        begun = await service.post("/v2/queues/dead/redrive", {"to": "plain"})
        assert begun.status == 202
        async with asyncio.timeout(5):
            while not await service.bodies("plain"):  # noqa: ASYNC110 (nothing rings here)
                await asyncio.sleep(0.01)
        assert await service.bodies("plain") == [BODY]
    assert b"dawn" not in on_disk(tmp_path)


async def test_keys_rotate_without_losing_a_message(server: With) -> None:
    async with server(k1=K1) as service:
        await encrypted(service, "first")
    async with server(k2=K2, k1=K1) as service:
        await service.post_bodies("q", "second")
        assert await service.bodies("q") == ["first", "second"]
    async with server(k2=K2) as service:
        refused = await service.get(f"{MESSAGES}?echo=1")
        assert refused.error == (503, "Service temporarily unavailable")
        claimed = await service.post("/v2/queues/q/claims")
        assert [message["body"] for message in claimed.json["messages"]] == ["second"]


async def test_without_the_key_every_way_is_503_and_nothing_is_lost(
    server: With, caplog: pytest.LogCaptureFixture
) -> None:
    async with server(k1=K1) as service:
        (message_id,) = await encrypted(service)
    ways = [
        ("GET", f"{MESSAGES}/{message_id}"),
        ("GET", f"{MESSAGES}?echo=1&include_claimed=1"),
        ("POST", "/v2/queues/q/claims"),
        ("DELETE", f"{MESSAGES}?pop=1"),
    ]
    for keys in ({"k2": K2}, {}):
        async with server(**keys) as service:
            for method, path in ways:
                answer = await service.call(method, path)
                assert answer.error == (503, "Service temporarily unavailable"), path
                assert answer.headers["retry-after"]
                service.clock.advance(s=30)
    assert "'k1'" in caplog.text
    assert "keys_file" in caplog.text
    assert "dawn" not in caplog.text
    async with server(k1=K1) as service:
        assert await service.bodies("q") == [BODY]


async def test_without_keys_a_pop_destroys_nothing_where_the_attribute_is_off(
    server: With, caplog: pytest.LogCaptureFixture
) -> None:
    async with server(k1=K1) as service:
        await service.post_bodies("q", "plain")
        await service.patch_queue(
            "q", {"op": "add", "path": "/metadata/_enable_encrypt_messages", "value": True}
        )
        await service.post_bodies("q", BODY)
        await service.patch_queue(
            "q", {"op": "remove", "path": "/metadata/_enable_encrypt_messages"}
        )
    async with server() as service:
        popped = await service.delete(f"{MESSAGES}?pop=5")
        assert [message["body"] for message in popped.json["messages"]] == ["plain"]
        await refused_for_want_of_a_key(service, "q", caplog)
    async with server(k1=K1) as service:
        popped = await service.delete(f"{MESSAGES}?pop=5")
        assert [message["body"] for message in popped.json["messages"]] == [BODY]


async def test_without_keys_a_pop_destroys_no_dead_letter(
    server: With, caplog: pytest.LogCaptureFixture
) -> None:
    async with server(k1=K1) as service:
        await encrypted(service, _dead_letter_queue="dead", _max_claim_count=1)
        await service.claim("q", {"ttl": 60, "grace": 60})
        service.clock.advance(s=61)
        assert (await service.post("/v2/queues/q/claims")).status == 204
    async with server() as service:
        await refused_for_want_of_a_key(service, "dead", caplog)
    async with server(k1=K1) as service:
        popped = await service.delete("/v2/queues/dead/messages?pop=5")
        assert [message["body"] for message in popped.json["messages"]] == [BODY]


async def refused_for_want_of_a_key(
    service: Service, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    refused = await service.delete(f"/v2/queues/{queue}/messages?pop=5")
    assert refused.error == (503, "Service temporarily unavailable")
    assert refused.headers["retry-after"]
    assert "keys_file" in caplog.text
    assert b"keys_file" not in refused.content
    stats = await service.get(f"/v2/queues/{queue}/stats")
    assert stats.json["messages"]["total"] == 1


async def test_without_keys_nothing_is_stored_in_clear(server: With, tmp_path: Path) -> None:
    async with server(k1=K1) as service:
        await service.put("/v2/queues/q", ENCRYPTED)
    async with server() as service:
        refused = await service.put("/v2/queues/other", ENCRYPTED)
        assert refused.error == (400, "Invalid API request")
        assert "keys_file" in refused.json["description"]
        answer = await service.post(MESSAGES, {"messages": [{"body": BODY}]})
        assert answer.error == (503, "Service temporarily unavailable")
    assert b"dawn" not in on_disk(tmp_path)


async def test_a_sealed_message_in_a_queue_that_is_not_encrypted_is_no_garbage(
    server: With,
) -> None:
    async with server(k1=K1) as service:
        await encrypted(service)
        await service.patch_queue(
            "q", {"op": "replace", "path": "/metadata/_enable_encrypt_messages", "value": False}
        )
    async with server() as service:
        for accept in ("application/json", MSGPACK):
            answer = await service.get(f"{MESSAGES}?echo=1", headers={"Accept": accept})
            assert answer.status == 503


async def test_a_repeated_post_is_recognised(server: With) -> None:
    headers = {"Idempotency-Key": "one"}
    document = {"messages": [{"body": BODY}]}
    async with server(k1=K1) as service:
        await service.put("/v2/queues/q", ENCRYPTED)
        first = await service.post(MESSAGES, document, headers=headers)
    async with server(k2=K2, k1=K1) as service:
        again = await service.post(MESSAGES, document, headers=headers)
        assert (again.status, again.json) == (201, first.json)
        assert await service.bodies("q") == [BODY]
        other = {"messages": [{"body": "other"}]}
        reused = await service.post(MESSAGES, other, headers=headers)
        assert reused.error == (409, "Resource conflict")


async def test_wait_handles_and_what_is_said_to_them_are_not_on_disk(
    server: With, tmp_path: Path
) -> None:
    terms = {"timeout": 60, "count": 3, "data": "for dawn"}
    async with server(k1=K1) as service:
        await service.put("/v2/signals/boot", terms)
        for said in (
            {"id": "a", "data": "a password of dawn"},
            {"status": "IN_PROGRESS", "reason": "before dawn"},
            {"status": "FAILURE", "reason": "no dawn"},
        ):
            assert (await service.post("/v2/signals/boot/signal", said)).status == 200
        shown = (await service.get("/v2/signals/boot")).json
        assert (shown["data"], shown["reason"]) == ("for dawn", "no dawn")
        assert shown["signals"]["a"]["data"] == "a password of dawn"
    assert b"dawn" not in on_disk(tmp_path)
    async with server() as keyless:
        for method in ("GET", "DELETE", "PUT"):
            answer = await keyless.call(method, "/v2/signals/boot", terms)
            assert (answer.status, answer.json["code"]) == (503, "storage_unavailable")
        assert (await keyless.put("/v2/signals/other", terms)).status == 201
    async with server(k2=K2, k1=K1) as rotated:
        assert (await rotated.get("/v2/signals/other")).json["data"] == "for dawn"
        assert (await rotated.get("/v2/signals/boot")).json["state"] == "failure"


@pytest.mark.parametrize("path", [MESSAGES, "/v2/queues/q/cursors/c/messages"])
async def test_a_stream_leaves_out_nothing_that_cannot_be_read_here(
    server: With, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "_RETRY_S", 0.02)
    plain = {"op": "replace", "path": "/metadata/_enable_encrypt_messages", "value": False}
    async with server(k1=K1) as service, server() as keyless:
        await service.put("/v2/queues/q", ENCRYPTED)
        await service.put("/v2/queues/q/cursors/c")
        async with Listener(keyless, f"{path}?echo=true") as listener:
            assert await listener.status() == 200
            await service.post_bodies("q", BODY)
            await listener.quiet(pieces=10)
            await service.patch_queue("q", plain)
            await service.post_bodies("q", "to all")
            await listener.quiet(pieces=10)
        async with Listener(service, f"{path}?echo=true") as listener:
            events = await listener.events(2)
    assert [event.data["body"] for event in events] == [BODY, "to all"]
