"""The API over a WebSocket: the actions that Zaqar's clients use, and what they get."""

from __future__ import annotations

import json
from typing import Any

import pytest
from falcon.errors import WebSocketDisconnected

from tests.transport.service import OTHER_CLIENT, Service
from tests.transport.sockets import talking


async def test_authenticate_is_always_answered(service: Service) -> None:
    async with talking(service) as talk:
        for _ in range(2):
            assert await talk.ask("authenticate") == (200, {"message": "Authentified."})


async def test_a_reply_holds_its_request_but_no_secret(service: Service) -> None:
    async with talking(service) as talk:
        headers = {**talk.headers, "X-Auth-Token": "secret"}
        request = {"action": "queue_create", "headers": headers, "body": {"queue_name": "q"}}
        await talk.send_text(json.dumps(request))
        reply = await talk.heard()
        assert reply["request"] == {**request, "headers": talk.headers, "api": "v2"}
        assert reply["headers"] == {"status": 201}
        assert "secret" not in json.dumps(reply)
        await talk.send_text(json.dumps({"action": "queue_list", "headers": talk.headers}))
        assert (await talk.heard())["request"]["body"] == {}


async def test_queues(service: Service) -> None:
    async with talking(service) as talk:
        metadata = {"_default_message_ttl": 300, "team": "a"}
        created = await talk.ask("queue_create", queue_name="q", metadata=metadata)
        assert created == (201, "Queue q created.")
        assert await talk.ask("queue_create", queue_name="q") == (204, "Queue q created.")
        shown = await talk.ask("queue_get", queue_name="q")
        assert shown.body.items() >= metadata.items()
        listed = await talk.ask("queue_list")
        assert listed == (200, {"queues": [{"name": "q"}]})
        detailed = await talk.ask("queue_list", detailed=True, limit=1)
        assert detailed.body["queues"][0]["metadata"]["team"] == "a"
        assert (await talk.ask("queue_list", limit=0)).status == 400
        assert await talk.ask("queue_delete", queue_name="q") == (204, "Queue q removed.")
        assert (await talk.ask("queue_list")).body == {"queues": []}


async def test_messages(service: Service) -> None:
    async with talking(service) as talk:
        new = [{"body": {"n": 1}, "ttl": 60}, {"body": "two"}]
        status, posted = await talk.ask("message_post", queue_name="q", messages=new)
        first, second = posted["message_ids"]
        assert status == 201
        assert (await talk.ask("message_list", queue_name="q")).body["messages"] == []
        listed = await talk.ask("message_list", queue_name="q", echo=True)
        shown = {"id": first, "claim_id": None, "ttl": 60, "age": 0, "body": {"n": 1}}
        assert listed.body["messages"][0] == shown
        rest = await talk.ask("message_list", queue_name="q", echo=True, marker=first)
        assert [one["id"] for one in rest.body["messages"]] == [second]
        assert listed.body["marker"] == second
        one = await talk.ask("message_get", queue_name="q", message_id=first)
        assert one == (200, {"messages": shown})
        many = await talk.ask("message_get_many", queue_name="q", message_ids=[second, first])
        assert [found["id"] for found in many.body["messages"]] == [second, first]
        none = await talk.ask("message_get_many", queue_name="q", message_ids=["0"])
        assert none == (200, {"messages": []})
        too_many = await talk.ask("message_get_many", queue_name="q", message_ids=["0"] * 21)
        assert too_many.status == 400
        assert await talk.ask("message_delete", queue_name="q", message_id=first) == (204, {})
        gone = await talk.ask("message_get", queue_name="q", message_id=first)
        assert gone.status == 404
        popped = await talk.ask("message_delete_many", queue_name="q", pop=5)
        assert popped.body["messages"] == [
            {"id": second, "age": 0, "ttl": 3600, "body": "two", "claim_id": None,
             "claim_count": 0}
        ]  # fmt: skip
        both = await talk.ask("message_delete_many", queue_name="q", pop=1, message_ids=["0"])
        assert both.status == 400
        some = await talk.ask("message_delete_many", queue_name="q", message_ids=[first])
        assert some == (204, {})


async def test_what_is_posted_here_is_there_over_http_and_the_other_way_round(
    service: Service,
) -> None:
    await service.post_bodies("q", "http")
    async with talking(service) as talk:
        await talk.ask("message_post", queue_name="q", messages=[{"body": "ws", "delay": 60}])
        assert await service.bodies("q") == ["http"]
        service.clock.advance(s=60)
        assert await service.bodies("q") == ["http", "ws"]
        stats = await talk.ask("queue_get_stats", queue_name="q")
        messages = stats.body["messages"]
        assert (messages["total"], messages["free"], messages["claimed"]) == (2, 2, 0)
        assert set(messages["oldest"]) == {"id", "age", "created"}
        assert await talk.ask("queue_purge", queue_name="q") == (204, {})
        empty = await talk.ask("queue_get_stats", queue_name="absent")
        assert empty == (200, {"messages": {"free": 0, "claimed": 0, "total": 0}})


async def test_claims(service: Service) -> None:
    async with talking(service) as talk:
        assert await talk.ask("claim_create", queue_name="q") == (204, {"claim_id": None})
        await service.post_bodies("q", 1, 2)
        status, claim = await talk.ask("claim_create", queue_name="q", limit=1, ttl=60)
        assert (status, len(claim["messages"])) == (201, 1)
        claim_id, message = claim["claim_id"], claim["messages"][0]
        assert message["claim_id"] == claim_id
        service.clock.advance(s=10)
        held = await talk.ask("claim_get", queue_name="q", claim_id=claim_id)
        assert (held.body["age"], held.body["ttl"]) == (10, 60)
        renewed = await talk.ask("claim_update", queue_name="q", claim_id=claim_id, ttl=90)
        assert renewed == (204, f"Claim {claim_id} updated.")
        deleted = await talk.ask("message_delete", queue_name="q", message_id=message["id"])
        assert deleted.status == 403
        deleted = await talk.ask(
            "message_delete", queue_name="q", message_id=message["id"], claim_id=claim_id
        )
        assert deleted == (204, {})
        released = await talk.ask("claim_delete", queue_name="q", claim_id=claim_id)
        assert released == (204, f"Claim {claim_id} deleted.")
        gone = await talk.ask("claim_get", queue_name="q", claim_id=claim_id)
        assert gone.status == 404


async def test_a_binary_frame_is_messagepack_and_so_is_its_reply(service: Service) -> None:
    async with talking(service) as talk:
        body = {"bytes": b"\x00\xff", "n": 1}
        posted = await talk.ask_packed(
            "message_post", queue_name="q", messages=[{"body": body}]
        )
        assert posted.status == 201
        listed = await talk.ask_packed("message_list", queue_name="q", echo=True)
        assert listed.body["messages"][0]["body"] == body
        as_json = await talk.ask("message_list", queue_name="q", echo=True)
        assert as_json.body["messages"][0]["body"] == {"bytes": "AP8=", "n": 1}


WRONG: list[tuple[Any, int, str]] = [
    ({"action": "fly", "headers": {}, "body": {}}, 400, "fly is not a valid action"),
    ({"action": "queue_get", "body": {}}, 400, "Schema validation failed."),
    ({"action": 5}, 400, "Schema validation failed."),
    ({}, 400, "Schema validation failed."),
    ([], 400, "Unexpected body type. Expected dict"),
    ("text", 400, "Unexpected body type. Expected dict"),
    (None, 400, "Unexpected body type. Expected dict"),
]


@pytest.mark.parametrize(("document", "status", "text"), WRONG)
async def test_what_is_no_request_is_said_so_and_the_socket_goes_on(
    service: Service, document: Any, status: int, text: str
) -> None:
    async with talking(service) as talk:
        answered = await talk.say(document)
        assert answered.status == status
        assert answered.body["error"].startswith(text)
        assert (await talk.ask("queue_list")).status == 200


async def test_what_cannot_be_decoded_is_said_so(service: Service) -> None:
    async with talking(service) as talk:
        for text in ("", "{", '{"action": NaN}', "[" * 1000):
            await talk.send_text(text)
            error = (await talk.heard())["body"]["error"]
            assert error.startswith("Can't decode text (JSON) request")
        for data in (b"", b"\xc1", b"\x91" * 1000):
            await talk.send_data(data)
            error = (await talk.heard_packed())["body"]["error"]
            assert error.startswith("Can't decode binary (MessagePack) request")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"ttl": 60}, 'Bad request. Missing "body" field.'),
        ({"body": 1, "ttl": "60"}, 'Bad request. The value of the "ttl" field must be a int.'),
        ({"body": 1, "ttl": 1}, "messages[0].ttl must be between"),
        ({"body": 1, "delay": True}, 'Bad request. The value of the "delay" field'),
    ],
)
async def test_wrong_messages_are_refused(service: Service, message: Any, text: str) -> None:
    async with talking(service) as talk:
        answered = await talk.ask("message_post", queue_name="q", messages=[message])
        assert answered.status == 400
        assert answered.body["exception"].startswith(text)
        assert (await talk.ask("queue_list")).body == {"queues": []}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Project-ID": "p1"}, 400),
        ({"Client-ID": "no uuid", "X-Project-ID": "p1"}, 400),
        ({"Client-ID": OTHER_CLIENT}, 400),
        ({"Client-ID": OTHER_CLIENT, "X-Project-ID": ""}, 400),
        ({"Client-ID": OTHER_CLIENT, "X-Project-ID": 5}, 400),
        ({"client-id": OTHER_CLIENT, "x-project-id": "p1"}, 200),
    ],
)
async def test_each_request_says_who_sends_it(
    service: Service, headers: dict[str, Any], status: int
) -> None:
    async with talking(service, headers) as talk:
        assert (await talk.ask("queue_list")).status == status


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 65, "é"])
async def test_a_queue_name_is_checked(service: Service, name: str) -> None:
    async with talking(service) as talk:
        answered = await talk.ask("queue_create", queue_name=name)
        assert answered.status == (201 if name == ".." else 400)


async def test_a_number_is_checked(service: Service) -> None:
    async with talking(service) as talk:
        for limit in (0, 21, 2**63 - 1, 10**30, 1.5, "2"):
            listed = await talk.ask("message_list", queue_name="q", limit=limit)
            assert listed.status == 400


async def test_a_body_is_bounded(service: Service) -> None:
    async with talking(service) as talk:
        metadata = {"much": "x" * 65_536}
        created = await talk.ask("queue_create", queue_name="q", metadata=metadata)
        assert created == (400, {"error": "The body must not exceed 65536 bytes."})


async def test_binary_in_metadata_is_shown_as_text(service: Service) -> None:
    async with talking(service) as talk:
        metadata = {"key": b"\x00\xff"}
        made = await talk.ask_packed("queue_create", queue_name="q", metadata=metadata)
        assert made.status == 201
        assert (await talk.ask("queue_get", queue_name="q")).body["key"] == "AP8="


async def test_the_project_is_bound_to_the_socket(service: Service) -> None:
    await service.post_bodies("q", "mine")
    async with talking(service) as talk:
        assert (await talk.ask("queue_list")).status == 200
        talk.headers["X-Project-ID"] = "p2"
        for action in ("authenticate", "queue_list"):
            assert (await talk.ask(action)).status == 403
        talk.headers["X-Project-ID"] = "p1"
        assert (await talk.ask("queue_list")).body == {"queues": [{"name": "q"}]}


async def test_pages_of_other_sites_cannot_connect(service: Service) -> None:
    with pytest.raises(WebSocketDisconnected):
        async with talking(service, origin="http://evil.example"):
            pytest.fail("connected")
    async with talking(service, origin="http://falconframework.org") as talk:
        assert (await talk.ask("queue_list")).status == 200


async def test_without_an_upgrade_there_is_a_426(service: Service) -> None:
    answer = await service.get("/v2/websocket")
    assert answer.status == 426
    assert answer.headers["upgrade"] == "websocket"
