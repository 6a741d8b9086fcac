"""The limits of the service are settings."""

from __future__ import annotations

import json

import pytest

from tests.transport.conftest import Start

INVALID = (400, "Invalid API request")
MESSAGES = "/v2/queues/q/messages"
CLAIMS = "/v2/queues/q/claims"


async def test_pages_have_limits_of_their_own(start: Start) -> None:
    limits = {
        "max_queues_per_page": 11,
        "max_messages_per_page": 12,
        "max_messages_per_claim_or_pop": 13,
    }
    async with start(**limits) as service:
        ids = await service.post_bodies("q", *range(40))
        for method, path, most in (
            ("GET", "/v2/queues?limit={}", 11),
            ("GET", f"{MESSAGES}?limit={{}}", 12),
            ("POST", f"{CLAIMS}?limit={{}}", 13),
            ("DELETE", f"{MESSAGES}?pop={{}}", 13),
        ):
            assert (await service.call(method, path.format(most + 1))).error == INVALID
            assert (await service.call(method, path.format(most))).status in {200, 201}
        for method in ("GET", "DELETE"):
            many = f"{MESSAGES}?ids={','.join(ids[:13])}"
            assert (await service.call(method, many)).error == INVALID
            fit = f"{MESSAGES}?ids={','.join(ids[:12])}"
            assert (await service.call(method, fit)).status in {200, 204}


async def test_whoever_asks_for_no_number_gets_one_that_is_allowed(start: Start) -> None:
    limits = {
        "max_queues_per_page": 2,
        "max_messages_per_page": 3,
        "max_messages_per_claim_or_pop": 4,
    }
    async with start(**limits) as service:
        for queue in ("q", "r", "s"):
            await service.post_bodies(queue, *range(10))
        assert len((await service.get("/v2/queues")).json["queues"]) == 2
        assert len((await service.get(f"{MESSAGES}?echo=true")).json["messages"]) == 3
        assert len((await service.post(CLAIMS)).json["messages"]) == 4


async def test_times_have_limits_and_defaults_of_their_own(start: Start) -> None:
    limits = {
        "max_message_ttl_s": 200,
        "default_message_ttl_s": 150,
        "max_message_delay_s": 50,
        "default_message_delay_s": 20,
        "max_claim_ttl_s": 90,
        "default_claim_ttl_s": 80,
        "max_claim_grace_s": 70,
        "default_claim_grace_s": 65,
    }
    async with start(**limits) as service:
        shown = (await service.get("/v2/queues/q")).json
        assert (shown["_default_message_ttl"], shown["_default_message_delay"]) == (150, 20)
        for field, most in (("ttl", 200), ("delay", 50)):
            document = {"messages": [{"body": 1, field: most + 1}]}
            assert (await service.post(MESSAGES, document)).error == INVALID
            document = {"messages": [{"body": 1, field: most}]}
            assert (await service.post(MESSAGES, document)).status == 201
        await service.post_bodies("q", "default")
        service.clock.advance(s=20)
        assert await service.bodies("q") == [1, "default"]
        for lease in ({"ttl": 91}, {"grace": 71}):
            assert (await service.post(CLAIMS, lease)).error == INVALID
        claim_id = await service.claim("q", {"grace": 70}, limit=1)
        assert (await service.get(f"{CLAIMS}/{claim_id}")).json["ttl"] == 80


@pytest.mark.parametrize("excess", [0, 1])
async def test_documents_have_a_largest_size(start: Start, excess: int) -> None:
    sizes = {"max_messages_post_bytes": 300, "max_queue_metadata_bytes": 200}
    async with start(**sizes) as service:
        assert (await service.get("/v2/queues/q")).json["_max_messages_post_size"] == 300
        post = b'{"messages":[{"body":1}]}'.ljust(300 + excess)
        metadata = json.dumps({"a": ""}).encode().ljust(200 + excess)
        lease = b"{}".ljust(200 + excess)
        for method, path, data in (
            ("PUT", "/v2/queues/p", metadata),
            ("POST", MESSAGES, post),
            ("POST", CLAIMS, lease),
        ):
            answer = await service.call(method, path, data=data)
            if excess:
                assert answer.error == INVALID
                assert str(len(data) - 1) in answer.json["description"]
                assert answer.headers["connection"] == "close"
            else:
                assert answer.status == 201
        count = (await service.get("/v2/queues?with_count=1")).json.get("count", 0)
        assert count == (0 if excess else 2)
