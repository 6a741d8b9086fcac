"""Notifications from the post over HTTP to a receiver on a socket: each byte of them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from queues import webhook_signatures
from queues.config import Settings
from tests.clock import MovableClock
from tests.transport.conftest import Start
from tests.transport.mailbox import mailbox
from tests.transport.notified import PATH, deliveries, received, settled, subscribe
from tests.transport.receiver import OK, Receiver, says, status
from tests.transport.service import Service, running
from tests.transport.test_encryption import on_disk
from transport.composition import storage


@pytest.fixture
async def service(start: Start, tmp_path: Path) -> AsyncIterator[Service]:
    keys = tmp_path / "keys.toml"
    keys.write_text('[signed_urls]\na = "a key"\n')
    async with start(webhook_allow="127.0.0.0/8", keys_file=str(keys)) as running_service:
        yield running_service


async def test_a_notification_is_what_zaqar_sends_and_not_a_key_more(
    service: Service, receiver: Receiver
) -> None:
    await subscribe(service, receiver.url())
    await service.post_bodies("q", {"event": "gr\u00fc\u00dfe"}, ttl=300)
    (request,) = await received(receiver)
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "body": {"event": "gr\u00fc\u00dfe"},
        "ttl": 300,
        "queue_name": "q",
        "Message_Type": "Notification",
    }


async def test_of_a_queue_that_delays_it_tells_the_delay(
    service: Service, receiver: Receiver
) -> None:
    await service.put("/v2/queues/q", {"_default_message_delay": 1})
    await subscribe(service, receiver.url())
    await service.post_bodies("q", 1)
    await service.post_bodies("q", 2, delay=0)
    (request,) = await received(receiver)
    assert json.loads(request.body)["delay"] == 0
    service.clock.advance(s=1)
    _, request = await received(receiver, 2)
    assert {"body": 1, "delay": 1}.items() <= json.loads(request.body).items()


async def test_post_data_and_post_headers_are_sent_as_the_subscriber_wants(
    service: Service, receiver: Receiver
) -> None:
    await subscribe(
        service,
        receiver.url(),
        post_data='{"workflow": "x", "input": "$zaqar_message$", "text": "$zaqar_message$s"}',
        post_headers={"X-Trigger": "yes", "content-type": "application/x-mine"},
    )
    await service.post_bodies("q", [1])
    (request,) = await received(receiver)
    document = json.loads(request.body)
    assert document["workflow"] == "x"
    assert document["input"]["body"] == [1]
    assert document["text"] == "$zaqar_message$s"
    assert request.headers["x-trigger"] == "yes"
    assert request.headers["content-type"] == "application/x-mine"


async def test_a_receiver_can_check_who_sent_what(service: Service, receiver: Receiver) -> None:
    made = await subscribe(service, receiver.url())
    await service.post_bodies("q", 1)
    (request,) = await received(receiver)
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    key = base64.b64decode(made["secret"].removeprefix("whsec_"))
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    assert abs(int(headers["webhook-timestamp"]) - service.clock.now_ms() // 1000) <= 1
    assert "." not in headers["webhook-id"]


async def test_secrets_can_be_exchanged_without_a_gap(
    service: Service, receiver: Receiver
) -> None:
    old, new = webhook_signatures.new_secret(), webhook_signatures.new_secret()
    made = await subscribe(service, receiver.url(), _secrets=[old])
    path = f"{PATH}/{made['subscription_id']}"
    await service.patch(path, {"options": {"_secrets": [new, old]}})
    await service.post_bodies("q", 1)
    (request,) = await received(receiver)
    both = request.headers["webhook-signature"].split(" ")
    time_s = int(request.headers["webhook-timestamp"])
    for secret, signature in zip((new, old), both, strict=True):
        expected = webhook_signatures.headers(
            [secret], request.headers["webhook-id"], time_s, request.body
        )
        assert signature == expected["webhook-signature"]
    await service.patch(path, {"options": {"_ordered": True}})
    await service.post_bodies("q", 2)
    _, request = await received(receiver, 2)
    assert len(request.headers["webhook-signature"].split(" ")) == 2


async def test_a_cloud_event_by_structure(service: Service, receiver: Receiver) -> None:
    await subscribe(service, receiver.url(), _format="cloudevents")
    await service.post_bodies("q", {"a": 1})
    (request,) = await received(receiver)
    assert request.headers["content-type"] == "application/cloudevents+json"
    event = json.loads(request.body)
    assert datetime.fromisoformat(event.pop("time")).tzinfo is not None
    assert event.pop("id")
    assert event == {
        "specversion": "1.0",
        "source": "/v2/queues/q",
        "type": "nusku.message.posted",
        "datacontenttype": "application/json",
        "data": {"a": 1},
    }


async def test_a_cloud_event_in_headers(service: Service, receiver: Receiver) -> None:
    await subscribe(service, receiver.url(), _format="cloudevents-binary")
    await service.post_bodies("q", {"a": 1})
    (request,) = await received(receiver)
    assert json.loads(request.body) == {"a": 1}
    assert request.headers["content-type"] == "application/json"
    event = {name: text for name, text in request.headers.items() if name.startswith("ce-")}
    assert set(event) == {"ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time"}
    assert (event["ce-specversion"], event["ce-source"]) == ("1.0", "/v2/queues/q")


async def test_messagepack_becomes_json(service: Service, receiver: Receiver) -> None:
    await subscribe(service, receiver.url(), _filter={"body": {"a": [{"numeric": [">", 1]}]}})
    for number in (1, 2):
        body = msgspec.msgpack.encode({"messages": [{"body": {"a": number, "b": b"\0"}}]})
        headers = {"Content-Type": "application/msgpack"}
        await service.post("/v2/queues/q/messages", data=body, headers=headers)
    (request,) = await received(receiver)
    assert json.loads(request.body)["body"] == {"a": 2, "b": "AA=="}


async def test_what_became_of_it_can_be_read_and_repeated(
    service: Service, receiver: Receiver
) -> None:
    made = await subscribe(service, receiver.url())
    receiver.behaviour = status(404)
    await service.post_bodies("q", 1, 2)
    first, second = await settled(service, made, "failed", "failed")
    assert set(first) == {"id", "state", "since", "due", "attempts"}
    (attempt,) = first["attempts"]
    assert (attempt["status"], attempt["error"], first["due"]) == (404, None, None)
    receiver.behaviour = says(OK)
    path = f"{PATH}/{made['subscription_id']}/replay"
    answer = await service.post(path, {"ids": [second["id"], "unknown"]})
    assert (answer.status, answer.json) == (202, {"replayed": 1, "marker": None})
    await settled(service, made, "failed", "delivered")
    assert len(await deliveries(service, made, "?state=failed")) == 1
    answer = await service.post(path, {"state": "failed", "since": "2020-01-01T00:00:00Z"})
    assert answer.json["replayed"] == 1
    await settled(service, made, "delivered", "delivered")
    future = {"since": "2200-01-01T00:00:00Z"}
    assert (await service.post(path, future)).json["replayed"] == 0
    repeated = [one.headers["webhook-id"] for one in receiver.received]
    assert len(repeated) == 4
    assert len(set(repeated)) == 2


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"ids": []},
        {"ids": ["x"] * 101},
        {"ids": ["x"], "state": "failed"},
        {"state": "lost"},
        {"since": "yesterday"},
        {"since": 5},
        {"all": True},
        [],
    ],
)
async def test_a_replay_has_to_say_of_what(service: Service, document: object) -> None:
    made = await subscribe(service, "http://127.0.0.1:9999/")
    answer = await service.post(f"{PATH}/{made['subscription_id']}/replay", document)
    assert answer.error[0] == 400


async def test_deliveries_are_asked_for_by_page_and_state(service: Service) -> None:
    made = await subscribe(service, "http://127.0.0.1:9999/")
    path = f"{PATH}/{made['subscription_id']}/deliveries"
    for query in ("limit=0", "limit=21", "limit=x", "state=lost"):
        assert (await service.get(f"{path}?{query}")).error[0] == 400


async def test_deliveries_follow_one_another_by_page(
    service: Service, receiver: Receiver
) -> None:
    made = await subscribe(service, receiver.url())
    await service.post_bodies("q", *range(25))
    await received(receiver, 25)
    path = f"{PATH}/{made['subscription_id']}/deliveries"
    ids: list[str] = []
    async with asyncio.timeout(10):
        while len(ids) < 25:
            ids = await paged(service, f"{path}?limit=10")
    assert ids == sorted(ids)


async def paged(service: Service, href: str) -> list[str]:
    """Return the ids of all deliveries, page by page."""
    ids = []
    while href:
        page = (await service.get(href)).json
        ids += [one["id"] for one in page["deliveries"]]
        href = page["links"][0]["href"] if page["links"] else ""
    return ids


async def test_an_address_that_is_not_public_is_refused_or_never_written_to(
    start: Start, receiver: Receiver
) -> None:
    async with start() as service:
        for host in ("127.0.0.1", "[::1]", "10.0.0.1", "169.254.169.254", "[::ffff:7f00:1]"):
            answer = await service.post(PATH, {"subscriber": f"http://{host}/"})
            assert answer.error == (400, "Invalid API request")
            assert "no public address" in answer.json["description"]
        made = await subscribe(service, receiver.url("localhost"))
        await service.post_bodies("q", 1)
        listed = await settled(service, made, "pending")
    assert "no address that may be written to" in listed[0]["attempts"][0]["error"]
    assert receiver.connections == 0


async def test_a_mail_carries_the_notification(start: Start) -> None:
    async with (
        mailbox() as box,
        start(
            smtp_host="127.0.0.1", smtp_port=box.port, smtp_tls="none", smtp_from="n@x.org"
        ) as service,
    ):
        made = await subscribe(service, "mailto:ann@x.org?Subject=All%20news", subject="no")
        await service.post_bodies("q", {"a": 1})
        await settled(service, made, "delivered")
    (mail,) = box.mails
    assert mail.recipients == ["ann@x.org"]
    assert mail.message["subject"] == "All news"
    assert json.loads(mail.message.get_content())["body"] == {"a": 1}


async def test_bodies_of_an_encrypted_queue_arrive_in_clear(
    receiver: Receiver, clock: MovableClock, tmp_path: Path
) -> None:
    keys, key = tmp_path / "sealing.toml", base64.b64encode(b"k" * 32).decode()
    keys.write_text(f'[encryption]\na = "{key}"\n')
    settings = Settings(
        storage=f"sqlite:///{tmp_path / 'nusku.db'}",
        webhook_allow="127.0.0.0/8",
        keys_file=str(keys),
    )
    async with running(storage(settings), clock, settings) as service:
        await service.put("/v2/queues/q", {"_enable_encrypt_messages": True})
        made = await subscribe(
            service, receiver.url(), post_headers={"Authorization": "hidden"}
        )
        await service.post_bodies("q", "attack at dawn")
        (request,) = await received(receiver)
        await settled(service, made, "delivered")
    assert json.loads(request.body)["body"] == "attack at dawn"
    stored = on_disk(tmp_path)
    for secret in (b"dawn", b"hidden", b"whsec_"):
        assert secret not in stored
