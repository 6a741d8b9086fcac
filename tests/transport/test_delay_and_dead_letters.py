"""Delayed messages and dead letters over HTTP."""

from __future__ import annotations

from tests.transport.service import Service

MESSAGES = "/v2/queues/q/messages"


async def test_a_delayed_message_is_hidden_until_it_is_due(service: Service) -> None:
    (message_id,) = await service.post_bodies("q", "late", delay=30)
    assert await service.bodies("q") == []
    assert await service.bodies("q", "echo=1&include_delayed=1") == ["late"]
    assert (await service.get(f"{MESSAGES}/{message_id}")).json["body"] == "late"
    stats = (await service.get("/v2/queues/q/stats")).json["messages"]
    assert (stats["free"], stats["total"]) == (1, 1)
    assert (await service.post("/v2/queues/q/claims")).status == 204
    assert (await service.delete(f"{MESSAGES}?pop=1")).json == {"messages": []}
    service.clock.advance(s=29.999)
    assert await service.bodies("q") == []
    service.clock.advance(ms=1)
    assert await service.bodies("q") == ["late"]
    await service.claim("q")


async def test_a_queue_may_delay_and_limit_all_its_messages(service: Service) -> None:
    defaults = {"_default_message_delay": 30, "_default_message_ttl": 120}
    await service.put("/v2/queues/q", defaults)
    await service.post_bodies("q", "default")
    await service.post_bodies("q", "at once", delay=0)
    await service.post_bodies("q", "own", delay=10, ttl=60)
    assert await service.bodies("q") == ["at once"]
    listed = await service.get(f"{MESSAGES}?echo=1&include_delayed=1&detailed=1")
    shown = [(message["ttl"], message["state"]) for message in listed.json["messages"]]
    assert shown == [(120, "delayed"), (120, "ready"), (60, "delayed")]
    service.clock.advance(s=10)
    assert await service.bodies("q") == ["at once", "own"]
    service.clock.advance(s=20)
    assert await service.bodies("q") == ["default", "at once", "own"]


async def test_a_change_of_defaults_counts_from_the_next_message(service: Service) -> None:
    await service.put("/v2/queues/q")
    await service.post_bodies("q", "before")
    change = {"op": "add", "path": "/metadata/_default_message_ttl", "value": 99}
    assert (await service.patch_queue("q", change)).status == 200
    await service.post_bodies("q", "after")
    listed = (await service.get(f"{MESSAGES}?echo=1")).json["messages"]
    assert [message["ttl"] for message in listed] == [3600, 99]


async def test_a_message_claimed_too_often_goes_to_the_dead_letter_queue(
    service: Service,
) -> None:
    await service.put("/v2/queues/q", {"_max_claim_count": 2, "_dead_letter_queue": "dead"})
    (message_id,) = await service.post_bodies("q", {"poison": True}, ttl=1000)
    await service.delete(f"/v2/queues/q/claims/{await service.claim('q')}")
    await service.claim("q", {"ttl": 60})
    service.clock.advance(s=60)
    assert (await service.post("/v2/queues/q/claims")).status == 204
    assert (await service.get(f"{MESSAGES}/{message_id}")).status == 404
    (plain,) = (await service.get("/v2/queues/dead/messages?echo=1")).json["messages"]
    assert set(plain) == {"id", "href", "ttl", "age", "body"}
    assert (plain["body"], plain["ttl"], plain["age"]) == ({"poison": True}, 1000, 60)
    (detailed,) = (await service.get("/v2/queues/dead/messages?echo=1&detailed=true")).json[
        "messages"
    ]
    origin = detailed.pop("dead_letter")
    assert origin.pop("moved_at").endswith("Z")
    assert origin == {
        "queue": "q",
        "message_id": message_id,
        "reason": "max_claim_count",
        "claim_count": 2,
    }
    assert (detailed["state"], detailed["claim_count"]) == ("ready", 0)
    await service.claim("dead")


async def test_a_dead_letter_may_get_a_ttl_of_its_own(service: Service) -> None:
    metadata = {
        "_max_claim_count": 1,
        "_dead_letter_queue": "dead",
        "_dead_letter_queue_messages_ttl": 500,
    }
    await service.put("/v2/queues/q", metadata)
    await service.post_bodies("q", 1, ttl=100)
    await service.delete(f"/v2/queues/q/claims/{await service.claim('q')}")
    service.clock.advance(s=10)
    assert (await service.post("/v2/queues/q/claims")).status == 204
    (letter,) = (await service.get("/v2/queues/dead/messages?echo=1")).json["messages"]
    assert (letter["ttl"], letter["age"]) == (500, 10)
    service.clock.advance(s=499)
    assert await service.bodies("dead") == [1]
    service.clock.advance(s=1)
    assert await service.bodies("dead") == []


async def test_dead_letters_need_both_a_count_and_a_queue(service: Service) -> None:
    await service.put("/v2/queues/q", {"_max_claim_count": 1})
    await service.put("/v2/queues/r", {"_dead_letter_queue": "dead"})
    for queue in ("q", "r"):
        await service.post_bodies(queue, 1)
        for _ in range(3):
            claim_id = await service.claim(queue)
            await service.delete(f"/v2/queues/{queue}/claims/{claim_id}")
        assert await service.bodies(queue) == [1]
