"""Notifications on a WebSocket, and the subscriptions that bring them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from queues.config import Settings
from queues.errors import StorageUnavailable
from storage_drivers import open_storage
from tests.clock import MovableClock
from tests.transport.faults import FaultyStorage
from tests.transport.service import Service, running
from tests.transport.sockets import Talk, talking
from transport.socket import pushes

CURSOR = "/v2/queues/q/cursors/c"


async def listening(talk: Talk, **wanted: Any) -> str:
    answered = await talk.ask("subscription_create", queue_name="q", **wanted)
    assert answered.status == 201
    assert set(answered.body) == {"subscription_id", "message"}
    subscription_id: str = answered.body["subscription_id"]
    return subscription_id


async def test_a_socket_hears_of_what_is_posted_in_order(service: Service) -> None:
    await service.post_bodies("q", "before")
    async with talking(service) as talk:
        await listening(talk, ttl=10_000)
        for n in range(50):
            await service.post_bodies("q", {"n": n}, ttl=60)
        for n in range(50):
            assert await talk.heard() == {
                "body": {"n": n},
                "ttl": 60,
                "queue_name": "q",
                "Message_Type": "Notification",
            }


async def test_it_hears_of_claimed_messages_and_when_delayed_ones_are_due(
    service: Service,
) -> None:
    async with talking(service) as talk:
        await listening(talk)
        await service.post_bodies("q", "late", delay=60)
        await service.post_bodies("q", "behind it")
        await service.claim("q")
        service.clock.advance(s=60)
        await service.post_bodies("q", "last")
        heard = [(await talk.heard())["body"] for _ in range(3)]
        assert heard == ["late", "behind it", "last"]


async def test_after_a_reconnect_it_goes_on_where_it_was(service: Service) -> None:
    async with talking(service) as talk:
        await listening(talk, with_id=True)
        await service.post_bodies("q", 1)
        last_id = (await talk.heard())["id"]
    await service.post_bodies("q", 2)
    async with talking(service) as talk:
        await listening(talk, marker=last_id)
        await service.post_bodies("q", 3)
        assert [(await talk.heard())["body"] for _ in range(2)] == [2, 3]
        wrong = await talk.ask("subscription_create", queue_name="q", marker="nothing")
        assert wrong.status == 400


async def test_notifications_are_encoded_like_the_subscription(service: Service) -> None:
    async with talking(service) as talk:
        made = await talk.ask_packed("subscription_create", queue_name="q")
        assert made.status == 201
        await service.post_bodies("q", {"n": 1})
        assert (await talk.heard_packed())["body"] == {"n": 1}


async def test_subscriptions_of_a_socket_are_its_own_and_end(service: Service) -> None:
    async with talking(service) as talk:
        one, two = sorted([await listening(talk), await listening(talk)])
        listed = await talk.ask("subscription_list", queue_name="q")
        assert [each["id"] for each in listed.body["subscriptions"]] == [one, two]
        shown = await talk.ask("subscription_get", queue_name="q", subscription_id=one)
        assert (shown.status, shown.body["source"], shown.body["confirmed"]) == (200, "q", True)
        removed = await talk.ask("subscription_delete", queue_name="q", subscription_id=one)
        assert removed == (204, f"Subscription {one} removed.")
        gone = await talk.ask("subscription_get", queue_name="q", subscription_id=one)
        assert gone.status == 404
        async with talking(service) as other:
            listed = await other.ask("subscription_list", queue_name="q")
            assert listed.body == {"subscriptions": []}


async def test_a_socket_has_a_bounded_number_of_them(service: Service) -> None:
    async with talking(service) as talk:
        for _ in range(20):
            await listening(talk)
        refused = await talk.ask("subscription_create", queue_name="q")
        assert refused.status == 400


async def test_a_token_that_nobody_asks_for_changes_nothing(service: Service) -> None:
    async with talking(service) as talk:
        talk.headers["X-Auth-Token"] = "of some other service"
        assert (await talk.ask("authenticate")).status == 200
        await listening(talk)
        await service.post_bodies("q", 1)
        assert (await talk.heard())["body"] == 1


async def test_one_that_was_ended_says_no_more(service: Service) -> None:
    async with talking(service) as talk:
        first, _ = await listening(talk), await listening(talk)
        await talk.ask("subscription_delete", queue_name="q", subscription_id=first)
        await service.post_bodies("q", 1, 2)
        assert [(await talk.heard())["body"] for _ in range(2)] == [1, 2]
        assert (await talk.ask("queue_list")).status == 200


async def test_other_queues_and_projects_are_not_heard_of(service: Service) -> None:
    async with talking(service) as talk:
        await listening(talk)
        await service.post_bodies("other", "hush")
        document = {"messages": [{"body": "hush"}]}
        elsewhere = {"X-Project-ID": "p2"}
        await service.post("/v2/queues/q/messages", document, headers=elsewhere)
        await service.post_bodies("q", "mine")
        assert (await talk.heard())["body"] == "mine"


async def test_a_queue_that_is_made_anew_is_heard_of_as_well(service: Service) -> None:
    async with talking(service) as talk:
        await service.post_bodies("q", 1, 2, 3)
        await listening(talk)
        await service.delete("/v2/queues/q")
        await service.post_bodies("q", "new")
        assert (await talk.heard())["body"] == "new"


async def test_a_claimed_and_deleted_message_leaves_no_gap_to_wait_for(
    service: Service,
) -> None:
    async with talking(service) as talk:
        (message_id,) = await service.post_bodies("q", "gone")
        await listening(talk, marker=message_id)
        await service.delete(f"/v2/queues/q/messages/{message_id}")
        await service.post_bodies("q", "there")
        assert (await talk.heard())["body"] == "there"


# -- with a cursor ---------------------------------------------------------------------------


async def test_a_cursor_brings_positions_and_is_moved_on_by_them(service: Service) -> None:
    await service.post_bodies("q", 1, 2)
    await service.put(CURSOR)
    async with talking(service) as talk:
        await listening(talk, cursor="c")
        first, second = [await talk.heard() for _ in range(2)]
        assert (first["body"], second["body"]) == (1, 2)
        moved = await talk.ask(
            "cursor_acknowledge", queue_name="q", cursor="c", position=first["position"]
        )
        assert moved == (204, {})
    assert (await service.get(CURSOR)).json["position"] == first["position"]
    async with talking(service) as talk:
        await listening(talk, cursor="c")
        assert await talk.heard() == second


async def test_what_a_cursor_misses_is_told(service: Service) -> None:
    await service.post_bodies("q", 1)
    await service.put(CURSOR)
    lost = await service.post_bodies("q", 2, 3)
    await service.delete(f"/v2/queues/q/messages?ids={','.join(lost)}")
    async with talking(service) as talk:
        subscription_id = await listening(talk, cursor="c")
        assert (await talk.heard())["body"] == 1
        told = await talk.heard()
        position = told.pop("position")
        assert told == {
            "Message_Type": "Lost",
            "queue_name": "q",
            "subscription_id": subscription_id,
            "lost": 2,
        }
        await service.post_bodies("q", 4)
        assert (await talk.heard())["body"] == 4
        moved = await talk.ask(
            "cursor_acknowledge", queue_name="q", cursor="c", position=position
        )
        assert moved.status == 204


async def test_a_subscription_ends_with_its_cursor(service: Service) -> None:
    await service.post_bodies("q", 1)
    await service.put(CURSOR)
    async with talking(service) as talk:
        subscription_id = await listening(talk, cursor="c")
        assert (await talk.heard())["body"] == 1
        await service.delete(CURSOR)
        await service.post_bodies("q", 2)
        # A page may be on its way that was read before.
        while (told := await talk.heard())["Message_Type"] == "Notification":
            assert told["body"] == 2
        assert (told["Message_Type"], told["subscription_id"]) == ("Ended", subscription_id)
        listed = await talk.ask("subscription_list", queue_name="q")
        assert listed.body == {"subscriptions": []}


async def test_a_wrong_start_is_refused(service: Service) -> None:
    async with talking(service) as talk:
        absent = await talk.ask("subscription_create", queue_name="q", cursor="c")
        assert (absent.status, absent.body["code"]) == (404, "cursor_not_found")
        both = await talk.ask("subscription_create", queue_name="q", cursor="c", marker="m")
        assert both.status == 400


# -- stored subscriptions --------------------------------------------------------------------


async def test_a_subscriber_is_stored_as_over_http(service: Service) -> None:
    async with talking(service) as talk:
        own = await listening(talk)
        made = await talk.ask(
            "subscription_create", queue_name="q", subscriber="http://fake/", ttl=120
        )
        assert made.status == 201
        assert set(made.body) == {"subscription_id", "message", "secret"}
        stored = made.body["subscription_id"]
        shown = await talk.ask("subscription_get", queue_name="q", subscription_id=stored)
        over_http = await service.get(f"/v2/queues/q/subscriptions/{stored}")
        assert shown == (200, over_http.json)
        listed = await talk.ask("subscription_list", queue_name="q")
        found = [one["id"] for one in listed.body["subscriptions"]]
        assert found == sorted([own, stored])
        rest = await talk.ask("subscription_list", queue_name="q", marker=found[0], limit=1)
        assert [one["id"] for one in rest.body["subscriptions"]] == found[1:]
        await talk.ask("subscription_delete", queue_name="q", subscription_id=stored)
        assert (await service.get(f"/v2/queues/q/subscriptions/{stored}")).status == 404


async def test_a_wrong_subscriber_is_refused(service: Service) -> None:
    async with talking(service) as talk:
        for wanted in (
            {"subscriber": "ftp://fake/"},
            {"subscriber": ""},
            {"subscriber": "http://fake/", "ttl": 1},
            {"subscriber": "http://fake/", "options": {"_retry_policy": 5}},
        ):
            refused = await talk.ask("subscription_create", queue_name="q", **wanted)
            assert refused.status == 400
        assert (await talk.ask("queue_list")).body == {"queues": []}


# -- a store that fails ----------------------------------------------------------------------


@pytest.fixture
def storage(tmp_path: Path) -> FaultyStorage:
    return FaultyStorage(open_storage(f"sqlite:///{tmp_path / 'faulty.db'}", timeout_ms=5000))


@pytest.fixture
async def faulty(storage: FaultyStorage, clock: MovableClock) -> AsyncIterator[Service]:
    async with running(storage, clock, Settings()) as running_service:
        yield running_service


async def test_while_the_store_is_away_sockets_stay(
    faulty: Service, storage: FaultyStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushes, "_RETRY_S", 0.05)
    async with talking(faulty) as talk:
        await listening(talk)
        reads = asyncio.Event()

        async def away(name: str) -> None:
            if name == "messages.list":
                reads.set()
                raise StorageUnavailable("redis://user:hunter2@db refused")

        storage.before = away
        await faulty.post_bodies("q", 1)
        await reads.wait()
        listed = await talk.ask("message_list", queue_name="q", echo=True)
        assert listed.status == 503
        assert listed.body["code"] == "storage_unavailable"
        assert "hunter2" not in str(listed.body)
        storage.recover()
        assert (await talk.heard())["body"] == 1


async def test_a_mistake_of_ours_is_a_500_and_the_socket_goes_on(
    faulty: Service, storage: FaultyStorage
) -> None:
    async with talking(faulty) as talk:
        storage.fail(RuntimeError("hush"))
        broken = await talk.ask("message_list", queue_name="q")
        assert (broken.status, broken.body["error"]) == (500, "Internal server error")
        assert "hush" not in str(broken.body)
        storage.recover()
        assert (await talk.ask("message_list", queue_name="q")).status == 200


async def test_a_mistake_of_ours_in_a_notification_closes_the_socket(
    faulty: Service, storage: FaultyStorage
) -> None:
    async with talking(faulty) as talk:
        await listening(talk)

        async def broken(name: str) -> None:
            if name == "messages.list":
                raise RuntimeError("hush")

        storage.before = broken
        await faulty.post_bodies("q", 1)
        assert await talk.closed() == (1011, "Internal server error.")
