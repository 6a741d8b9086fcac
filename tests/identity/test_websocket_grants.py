"""Application tokens and signed URLs on a WebSocket: they open what they open over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from queues import ids
from queues.identity import OPERATIONS
from tests.clock import MovableClock
from tests.identity.conftest import Start
from tests.transport.service import CALLER, CLIENT, OTHER_CLIENT, Service
from tests.transport.sockets import Talk, talking
from transport.socket import conversation

POSTED = [{"body": 1}]
_MESSAGE = ids.message_id(1, ids.queue_tag("p1", "q1"))
_POSITION = ids.position(0, 0, ids.queue_tag("p1", "q1"))
_OF_CLAIM = {"claim_id": "0" * 24}
_OF_SUBSCRIPTION = {"subscription_id": "0" * 24}

#: Every action but `authenticate`: the rule that it takes, and a body that is right.
ACTIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("queue_list", "queues:get_all", {}),
    ("queue_create", "queues:create", {}),
    ("queue_delete", "queues:delete", {}),
    ("queue_get", "queues:get", {}),
    ("queue_get_stats", "queues:stats", {}),
    ("queue_purge", "queues:purge", {}),
    ("message_post", "messages:create", {"messages": POSTED}),
    ("message_list", "messages:get_all", {}),
    ("message_get", "messages:get", {"message_id": _MESSAGE}),
    ("message_get_many", "messages:get_all", {"message_ids": [_MESSAGE]}),
    ("message_delete", "messages:delete", {"message_id": _MESSAGE}),
    ("message_delete_many", "messages:delete_all", {"pop": 1}),
    ("claim_create", "claims:create", {}),
    ("claim_get", "claims:get", _OF_CLAIM),
    ("claim_update", "claims:update", {**_OF_CLAIM, "ttl": 60}),
    ("claim_delete", "claims:delete", _OF_CLAIM),
    ("cursor_acknowledge", "cursors:update", {"cursor": "c", "position": _POSITION}),
    ("subscription_create", "messages:get_all", {}),
    ("subscription_create", "subscription:create", {"subscriber": "http://fake/", "ttl": 60}),
    ("subscription_list", "subscription:get_all", {}),
    ("subscription_get", "subscription:get", _OF_SUBSCRIPTION),
    ("subscription_delete", "subscription:delete", _OF_SUBSCRIPTION),
]
RULES = sorted(frozenset().union(*OPERATIONS.values()))


async def token(service: Service, **wanted: Any) -> dict[str, Any]:
    made = await service.post("/v2/tokens", {"operations": RULES, **wanted})
    assert made.status == 201, made.content
    document: dict[str, Any] = made.json
    return document


async def enter(talk: Talk, made: dict[str, Any]) -> None:
    talk.headers["X-Auth-Token"] = made["token"]
    assert (await talk.ask("authenticate")).status == 200


def test_the_table_names_every_action() -> None:
    assert {action for action, _, _ in ACTIONS} == set(conversation.ACTIONS)


@pytest.mark.parametrize(("action", "rule", "body"), ACTIONS)
async def test_an_action_takes_the_rule_that_http_takes(
    service: Service, action: str, rule: str, body: dict[str, Any]
) -> None:
    await service.put("/v2/queues/q1")
    asked = body if action == "queue_list" else {"queue_name": "q1", **body}
    for operations, is_open in (([rule], True), (sorted({*RULES} - {rule}), False)):
        async with talking(service) as talk:
            await enter(talk, await token(service, operations=operations))
            answered = await talk.ask(action, **asked)
            assert (answered.status != 403) is is_open, answered.body
            if not is_open:
                assert rule in answered.body["exception"]


@pytest.mark.parametrize(("action", "rule", "body"), ACTIONS[1:])
async def test_a_token_for_other_queues_opens_none_of_them(
    service: Service, action: str, rule: str, body: dict[str, Any]
) -> None:
    async with talking(service) as talk:
        await enter(talk, await token(service, queues=["x*"]))
        assert (await talk.ask(action, queue_name="q1", **body)).status == 403
        opened = await talk.ask(action, queue_name="x1", **body)
        assert opened.status != 403 or action == "subscription_create"


async def test_a_policy_forbids_what_it_forbids_over_http(start: Start, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('"messages:create" = "role:sender"\n')
    service = await start(policy_file=str(policy))
    async with talking(service) as talk:
        refused = await talk.ask("message_post", queue_name="q", messages=POSTED)
        assert (refused.status, refused.body["error"]) == (403, "Not authorized")
    async with talking(service, {**CALLER, "X-Roles": "sender"}) as talk:
        posted = await talk.ask("message_post", queue_name="q", messages=POSTED)
        assert posted.status == 201


async def test_a_token_acts_under_its_client_id_alone(service: Service) -> None:
    async with talking(service) as talk:
        await enter(talk, await token(service, client_id=CLIENT))
        assert (await talk.ask("queue_list")).status == 200
        talk.headers["Client-ID"] = OTHER_CLIENT
        assert (await talk.ask("queue_list")).status == 403
        del talk.headers["Client-ID"]
        await talk.ask("message_post", queue_name="q", messages=POSTED)
        assert (await talk.ask("message_list", queue_name="q")).body["messages"] == []


async def test_a_revoked_token_closes_the_socket_at_the_next_frame(service: Service) -> None:
    async with talking(service) as talk:
        made = await token(service)
        await enter(talk, made)
        await service.delete(f"/v2/tokens/{made['id']}")
        await talk.send({"action": "queue_list", "headers": talk.headers, "body": {}})
        assert await talk.closed() == (4003, "Authentication expired.")
        assert talk.unheard == []


async def test_a_token_revoked_elsewhere_closes_the_socket_of_a_listener(
    service: Service, elsewhere: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "CHECK_S", 1.0)
    async with talking(service) as talk:
        made = await token(service)
        await enter(talk, made)
        assert (await talk.ask("subscription_create", queue_name="q")).status == 201
        await elsewhere.delete(f"/v2/tokens/{made['id']}")
        assert await talk.closed() == (4003, "Authentication expired.")


async def test_a_subscription_that_is_stored_ends_with_the_token_that_made_it(
    service: Service,
) -> None:
    async with talking(service) as talk:
        await enter(talk, await token(service, ttl=120))
        wanted = {"queue_name": "q", "subscriber": "http://fake/"}
        refused = await talk.ask("subscription_create", ttl=121, **wanted)
        assert refused.status == 400
        assert (await talk.ask("subscription_create", ttl=120, **wanted)).status == 201


# -- signed URLs -----------------------------------------------------------------------------


async def signed(service: Service, queue: str = "q1", **wanted: Any) -> dict[str, Any]:
    """Return the headers of a frame that present a signed URL, as Zaqar's clients do."""
    shared = (await service.post(f"/v2/queues/{queue}/share", wanted)).json
    return {
        "URL-Signature": shared["signature"],
        "URL-Paths": shared["paths"],
        "URL-Methods": shared["methods"],
        "URL-Expires": shared["expires"],
        "X-Project-ID": shared["project"],
        "Client-ID": OTHER_CLIENT,
    }


@contextmanager
def with_headers(talk: Talk, headers: dict[str, Any]) -> Iterator[None]:
    kept, talk.headers = talk.headers, headers
    yield
    talk.headers = kept


async def test_a_signed_url_opens_the_messages_of_its_queue_and_nothing_else(
    guarded: Service, service: Service
) -> None:
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    everything = await signed(service, methods=methods, paths=["messages"])
    async with talking(guarded, everything) as talk:
        for action, _, body in ACTIONS:
            asked = body if action == "queue_list" else {"queue_name": "q1", **body}
            answered = await talk.ask(action, **asked)
            refused = answered.body.get("error") == "Not authorized"
            assert refused is not action.startswith("message_"), (action, answered)


async def test_a_signed_url_of_subscriptions_opens_none_here(
    guarded: Service, service: Service
) -> None:
    paths = ["messages", "subscriptions", "claims"]
    async with talking(
        guarded, await signed(service, methods=["GET", "POST", "DELETE"], paths=paths)
    ) as talk:
        for action in ("subscription_create", "subscription_list", "claim_create"):
            assert (await talk.ask(action, queue_name="q1")).status == 403


async def test_a_signature_is_for_its_method_queue_project_and_time(
    guarded: Service, service: Service, clock: MovableClock
) -> None:
    headers = await signed(service, methods=["GET"])
    async with talking(guarded, headers) as talk:
        assert (await talk.ask("message_list", queue_name="q1")).status == 200
        posted = await talk.ask("message_post", queue_name="q1", messages=POSTED)
        assert (posted.status, posted.body["code"]) == (404, "signature_refused")
        for queue in ("q2", "q", "q11", "q1/messages", "../q1", "q1%2f"):
            assert (await talk.ask("message_list", queue_name=queue)).status in (400, 404)
        for change in (
            {"X-Project-ID": "p2"},
            {"URL-Paths": ["/v2/queues/q2/messages"]},
            {"URL-Methods": ["GET", "POST"]},
            {"URL-Signature": "0" * 64},
            {"URL-Expires": "2099-01-01T00:00:00"},
        ):
            with with_headers(talk, {**headers, **change}):
                assert (await talk.ask("message_list", queue_name="q1")).status == 404
        clock.advance(s=86_400)
        assert (await talk.ask("message_list", queue_name="q1")).status == 404


async def test_a_frame_with_a_signature_does_not_authenticate_the_next_one(
    guarded: Service, service: Service
) -> None:
    async with talking(guarded, await signed(service)) as talk:
        assert (await talk.ask("message_list", queue_name="q1")).status == 200
        with with_headers(talk, dict(CALLER)):
            refused = await talk.ask("message_list", queue_name="q1")
            assert refused.body["error"] == "Not authentified."


async def test_a_signature_of_another_project_opens_nothing_on_a_bound_socket(
    service: Service,
) -> None:
    async with talking(service, {**CALLER, "X-Project-ID": "p2"}) as talk:
        assert (await talk.ask("queue_list")).status == 200
        with with_headers(talk, await signed(service)):
            assert (await talk.ask("message_list", queue_name="q1")).status == 403
