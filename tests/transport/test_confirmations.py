"""Asking subscribers first: nothing is sent before, and only they can answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from queues.clock import SystemClock
from queues.config import Settings
from queues.errors import ConfigurationError
from queues.subscriptions import END_OF_TIME_S
from tests.transport.conftest import Start
from tests.transport.mailbox import mailbox
from tests.transport.notified import PATH, received, settled, subscribe
from tests.transport.receiver import Receiver
from tests.transport.service import Answer, Service
from transport.composition import notifying, operations, storage

ASKING = {"webhook_allow": "127.0.0.0/8", "subscription_confirmation": True}
NOBODY = {"X-Project-ID": None, "Client-ID": None}


@pytest.fixture
def keys_file(tmp_path: Path) -> str:
    keys = tmp_path / "keys.toml"
    keys.write_text('[signed_urls]\na = "a key"\n')
    return str(keys)


@pytest.fixture
async def service(start: Start, keys_file: str) -> AsyncIterator[Service]:
    async with start(**ASKING, keys_file=keys_file) as running_service:
        yield running_service


async def confirm(
    service: Service, notice: Any, *, confirmed: bool = True, **other: str | None
) -> Answer:
    """Answer as somebody with nothing but the notice."""
    names = ("URL-Signature", "URL-Methods", "URL-Paths", "URL-Expires", "X-Project-ID")
    headers = {**NOBODY, **{name: notice[name] for name in names}, **other}
    path = notice["URL-Paths"]
    return await service.put(path, {"confirmed": confirmed}, headers=headers)


async def asked(receiver: Receiver, number: int = 1) -> Any:
    return json.loads((await received(receiver, number))[number - 1].body)


async def test_a_subscriber_is_asked_in_zaqars_words_and_can_say_yes(
    service: Service, receiver: Receiver
) -> None:
    made = await subscribe(service, receiver.url())
    notice = await asked(receiver)
    path = f"{PATH}/{made['subscription_id']}/confirm"
    assert set(notice) == {
        "Message_Type",
        "Message",
        "URL-Signature",
        "URL-Methods",
        "URL-Paths",
        "URL-Expires",
        "X-Project-ID",
        "SubscribeBody",
        "queue_name",
    }
    assert (notice["URL-Paths"], notice["URL-Methods"]) == (path, "PUT")
    assert notice["Message_Type"] == "SubscriptionConfirmation"
    assert (notice["queue_name"], notice["X-Project-ID"]) == ("q", "p1")
    await service.post_bodies("q", "too early")
    answer = await service.put(
        path,
        notice["SubscribeBody"],
        headers={**NOBODY, **{k: v for k, v in notice.items() if "-" in k}},
    )
    assert answer.status == 204
    await service.post_bodies("q", "heard")
    notification = await asked(receiver, 2)
    assert notification["body"] == "heard"
    await settled(service, made, "delivered", "delivered")


async def test_a_signature_opens_nothing_but_its_subscription(
    service: Service, receiver: Receiver
) -> None:
    await subscribe(service, receiver.url())
    other = await subscribe(service, receiver.url(path="/other"))
    notice = await asked(receiver)
    for changed in (
        {**notice, "URL-Paths": f"{PATH}/{other['subscription_id']}/confirm"},
        {**notice, "X-Project-ID": "p2"},
        {**notice, "URL-Signature": "0" * 64},
        {**notice, "URL-Expires": "2100-01-01T00:00:00"},
    ):
        assert (await confirm(service, changed)).status == 404
    names = [name for name in notice if "-" in name]
    headers = {**NOBODY, **{name: notice[name] for name in names}}
    item = notice["URL-Paths"].removesuffix("/confirm")
    for call in (
        service.get(item, headers=headers),
        service.delete(item, headers=headers),
        service.put(f"{PATH}/{other['subscription_id']}/confirm", {}, headers=headers),
    ):
        assert (await call).status == 404
    service.clock.advance(s=3600)
    assert (await confirm(service, notice)).status == 404


async def test_a_policy_leaves_the_answer_to_the_subscriber_alone(
    start: Start, keys_file: str, receiver: Receiver, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('"subscription:confirm" = "!"\n')
    async with start(**ASKING, keys_file=keys_file, policy_file=str(policy)) as service:
        made = await subscribe(service, receiver.url())
        path = f"{PATH}/{made['subscription_id']}/confirm"
        answer = await service.put(path, {"confirmed": True})
        assert answer.error == (403, "Not authorized")
        assert (await confirm(service, await asked(receiver))).status == 204


async def test_who_subscribes_again_is_asked_again(
    service: Service, receiver: Receiver
) -> None:
    made = await subscribe(service, receiver.url())
    assert (await subscribe(service, receiver.url())) == {
        "subscription_id": made["subscription_id"]
    }
    await received(receiver, 2)
    assert (await confirm(service, await asked(receiver, 2))).status == 204
    answer = await service.post(PATH, {"subscriber": receiver.url()})
    assert answer.status == 409


async def test_a_signature_ends_with_its_subscription_whenever_it_was_asked_for(
    service: Service, receiver: Receiver
) -> None:
    ttl = END_OF_TIME_S - service.clock.now_ms() // 1000
    for _ in range(2):
        document = {"subscriber": receiver.url(), "ttl": ttl}
        assert (await service.post(PATH, document)).status == 201
        service.clock.advance(s=100)
        ttl -= 100
    assert (await asked(receiver, 1))["URL-Expires"] == "9999-12-31T23:59:59"
    assert (await asked(receiver, 2))["URL-Expires"] == "9999-12-31T23:59:59"


async def test_who_unsubscribes_is_told_so_and_can_come_back(
    service: Service, receiver: Receiver
) -> None:
    made = await subscribe(service, receiver.url())
    await confirm(service, await asked(receiver))
    await confirm(service, await asked(receiver), confirmed=False)
    notice = await asked(receiver, 2)
    assert notice["Message_Type"] == "UnsubscribeConfirmation"
    assert notice["UnsubscribeBody"] == {"confirmed": False}
    await service.post_bodies("q", "not heard")
    assert (await confirm(service, notice)).status == 204
    await service.post_bodies("q", "heard")
    assert (await asked(receiver, 3))["body"] == "heard"
    await settled(service, made, *["delivered"] * 3)


async def test_another_address_is_asked_and_the_old_one_hears_nothing_more(
    service: Service, receiver: Receiver
) -> None:
    made = await subscribe(service, receiver.url())
    await confirm(service, await asked(receiver))
    moved = {"subscriber": receiver.url(path="/new")}
    await service.patch(f"{PATH}/{made['subscription_id']}", moved)
    await service.post_bodies("q", "not heard")
    notice = await asked(receiver, 2)
    assert receiver.received[1].path == "/new"
    await confirm(service, notice)
    await service.post_bodies("q", "heard")
    assert (await asked(receiver, 3))["body"] == "heard"
    assert receiver.received[2].path == "/new"


async def test_post_data_surrounds_a_confirmation_too(
    service: Service, receiver: Receiver
) -> None:
    await subscribe(service, receiver.url(), post_data='{"input": "$zaqar_message$"}')
    notice = (await asked(receiver))["input"]
    assert notice["Message_Type"] == "SubscriptionConfirmation"


async def test_where_to_answer_is_told_if_the_service_knows_its_address(
    start: Start, keys_file: str, receiver: Receiver
) -> None:
    address = "https://queues.example"
    async with start(**ASKING, keys_file=keys_file, public_url=f"{address}/") as service:
        made = await subscribe(service, receiver.url())
        notice = await asked(receiver)
    path = f"{PATH}/{made['subscription_id']}/confirm"
    assert notice["WSGISubscribeURL"] == address + path


async def test_a_mail_leads_to_the_page_of_the_operator(start: Start, keys_file: str) -> None:
    async with (
        mailbox() as box,
        start(
            **ASKING,
            keys_file=keys_file,
            subscription_confirmation_url="https://cloud.example/confirm",
            public_url="https://queues.example/",
            smtp_host="127.0.0.1",
            smtp_port=box.port,
            smtp_tls="none",
            smtp_from="n@x.org",
        ) as service,
    ):
        made = await subscribe(service, "mailto:ann@example.com")
        await settled(service, made, "delivered")
    notice = json.loads(box.mails[0].message.get_content())
    asked_for = parse_qs(urlsplit(notice["ConfirmationURL"]).query)
    names = {"Signature", "Methods", "Paths", "Project", "Expires", "Queue", "Url"}
    assert set(asked_for) == names
    assert asked_for["Url"] == [f"https://queues.example{notice['URL-Paths']}"]


async def test_a_project_that_cannot_be_signed_for_is_told_so(service: Service) -> None:
    headers = {"X-Project-ID": "a\\nb"}
    answer = await service.post(PATH, {"subscriber": "http://127.0.0.1:9999/"}, headers=headers)
    assert answer.error == (400, "Invalid API request")


def test_a_service_that_asks_needs_a_key(tmp_path: Path) -> None:
    settings = Settings(
        storage=f"sqlite:///{tmp_path / 'nusku.db'}", subscription_confirmation=True
    )
    clock = SystemClock()
    with pytest.raises(ConfigurationError, match="signed_urls"):
        operations(settings, storage(settings), clock, notifying(settings, clock))
