"""`Idempotency-Key`: the same write again gives the same answer and changes nothing more."""

from __future__ import annotations

import pytest

from tests.transport.conftest import Start
from tests.transport.service import MSGPACK, Service

MESSAGES = "/v2/queues/q/messages"
CLAIMS = "/v2/queues/q/claims"
REUSED = (409, "Resource conflict")
POST = {"messages": [{"body": "once"}, {"body": "and only once"}]}


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


async def test_a_repeated_post_answers_the_same_and_stores_once(service: Service) -> None:
    answers = [await service.post(MESSAGES, POST, headers=keyed("k")) for _ in range(3)]
    assert {answer.status for answer in answers} == {201}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len({answer.content for answer in answers}) == 1
    assert len(await service.bodies("q")) == 2


async def test_a_repeated_post_stores_nothing_even_after_the_messages_are_gone(
    service: Service,
) -> None:
    first = await service.post(MESSAGES, POST, headers=keyed("k"))
    await service.delete(f"{MESSAGES}?pop=2")
    again = await service.post(MESSAGES, POST, headers=keyed("k"))
    assert (again.status, again.json) == (201, first.json)
    assert await service.bodies("q") == []


async def test_a_key_is_not_used_up_by_a_refused_request(service: Service) -> None:
    bad = {"messages": [{"body": "once", "ttl": 1}]}
    assert (await service.post(MESSAGES, bad, headers=keyed("k"))).status == 400
    assert (await service.post(MESSAGES, POST, headers=keyed("k"))).status == 201


async def test_a_key_belongs_to_its_project_and_queue(service: Service) -> None:
    for path, project in ((MESSAGES, "p1"), ("/v2/queues/r/messages", "p1"), (MESSAGES, "p2")):
        headers = {**keyed("k"), "X-Project-ID": project}
        assert (await service.post(path, POST, headers=headers)).status == 201
        listed = await service.get(f"{path}?echo=1", headers=headers)
        assert len(listed.json["messages"]) == 2


async def test_a_repeated_claim_is_the_same_claim(service: Service) -> None:
    await service.post_bodies("q", 1, 2, 3)
    path = f"{CLAIMS}?limit=2"
    first = await service.post(path, {"ttl": 60}, headers=keyed("k"))
    again = await service.post(path, {"ttl": 60}, headers=keyed("k"))
    assert (again.status, again.json) == (201, first.json)
    assert again.headers["location"] == first.headers["location"]
    assert await service.bodies("q") == [3]
    service.clock.advance(s=60)
    late = await service.post(path, {"ttl": 60}, headers=keyed("k"))
    assert (late.status, late.content) == (204, b"")
    assert await service.bodies("q") == [1, 2, 3]


async def test_a_repeated_renewal_does_not_renew_again(service: Service) -> None:
    await service.post_bodies("q", 1)
    claim_id = await service.claim("q")
    for _ in range(2):
        path = f"{CLAIMS}/{claim_id}"
        assert (await service.patch(path, {"ttl": 100}, headers=keyed("k"))).status == 204
        service.clock.advance(s=40)
    assert (await service.get(f"{CLAIMS}/{claim_id}")).json["age"] == 80


async def test_a_key_for_another_request_is_refused(service: Service) -> None:
    await service.post(MESSAGES, POST, headers=keyed("k"))
    for document in ({"messages": POST["messages"][:1]}, {"messages": [{"body": 1}]}):
        refused = await service.post(MESSAGES, document, headers=keyed("k"))
        assert refused.error == REUSED
        assert refused.json["code"] == "idempotency_key_reused"
    assert (await service.post(CLAIMS, headers=keyed("k"))).error == REUSED
    assert len(await service.bodies("q")) == 2
    claim = await service.post(CLAIMS, {"ttl": 60}, headers=keyed("c"))
    assert (await service.post(CLAIMS, {"ttl": 61}, headers=keyed("c"))).error == REUSED
    assert (await service.post(f"{CLAIMS}?limit=1", {"ttl": 60}, headers=keyed("c"))).error == (
        REUSED
    )
    renewal = claim.headers["location"]
    assert (await service.patch(renewal, {}, headers=keyed("r"))).status == 204
    assert (await service.patch(renewal, {"ttl": 99}, headers=keyed("r"))).error == REUSED


async def test_a_key_is_forgotten_after_its_window(start: Start) -> None:
    async with start(idempotency_window_s=600) as service:
        await service.post(MESSAGES, POST, headers=keyed("k"))
        service.clock.advance(s=599)
        await service.post(MESSAGES, POST, headers=keyed("k"))
        assert len(await service.bodies("q")) == 2
        service.clock.advance(s=1)
        await service.post(MESSAGES, POST, headers=keyed("k"))
        assert len(await service.bodies("q")) == 4


KEYS = {
    "one character": ("k", True),
    "255 characters": ("k" * 255, True),
    "a UUID": ("8e03978e-40d5-43e8-bc93-6894a57f9324", True),
    "signs": ('"{k}";/\\', True),
    "256 characters": ("k" * 256, False),
    "empty": ("", False),
    "a space inside": ("a b", False),
    "not ASCII": ("ké", False),
}


@pytest.mark.parametrize(("key", "good"), KEYS.values(), ids=KEYS)
async def test_a_key_is_1_to_255_visible_characters(
    service: Service, key: str, good: bool
) -> None:
    await service.post_bodies("r", 1)
    claim = f"/v2/queues/r/claims/{await service.claim('r')}"
    answers = [
        await service.post(MESSAGES, POST, headers=keyed(key)),
        await service.post(CLAIMS, headers=keyed(key)),
        await service.patch(claim, {}, headers=keyed(key)),
    ]
    if good:
        assert [answer.status for answer in answers] == [201, 409, 204]
    else:
        for answer in answers:
            assert answer.error == (400, "Invalid API request")
            assert "Idempotency-Key" in answer.json["description"]
        assert (await service.call("HEAD", "/v2/queues/q")).status == 404


async def test_the_encoding_belongs_to_the_request(service: Service) -> None:
    data = b'{"messages": [{"body": 1}]}'
    await service.post(MESSAGES, data=data, headers=keyed("k"))
    packed = b"\x81\xa8messages\x91\x81\xa4body\x01"
    headers = {**keyed("k"), "Content-Type": MSGPACK}
    assert (await service.post(MESSAGES, data=packed, headers=headers)).error == REUSED
