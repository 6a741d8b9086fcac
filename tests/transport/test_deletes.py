"""Deleting messages over HTTP: by id, under claims, in bulk."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.transport.conftest import Start
from tests.transport.service import Service

LOST = (400, "Unable to delete")
CLAIMED = (403, "Unable to delete")
GONE = 204


class Row(NamedTuple):
    """What the message is like, which claim id is given, and what comes of it.

    `given` is one of: none, malformed, unknown, X (the claim of the story), Z (a later one).
    """

    message: str
    given: str
    answer: int | tuple[int, str]


ROWS = [
    Row("absent", "none", GONE),
    Row("absent", "unknown", GONE),
    Row("absent", "malformed", LOST),
    Row("in an absent queue", "none", GONE),
    Row("in an absent queue", "unknown", GONE),
    Row("ready", "none", GONE),
    Row("ready", "unknown", LOST),
    Row("ready", "malformed", LOST),
    Row("claimed by X", "none", CLAIMED),
    Row("claimed by X", "X", GONE),
    Row("claimed by X", "Z", CLAIMED),
    Row("claimed by X", "unknown", CLAIMED),
    Row("claimed by X", "malformed", LOST),
    Row("released by X", "X", LOST),
    Row("released by X", "none", GONE),
    Row("left by X when it ended", "X", LOST),
    Row("left by X when it ended", "none", GONE),
    Row("claimed by Z after X ended", "X", CLAIMED),
    Row("claimed by Z after X ended", "Z", GONE),
    Row("claimed by Z after X ended", "none", CLAIMED),
    Row("deleted under X", "X", GONE),
    Row("delayed", "none", GONE),
    Row("expired", "none", GONE),
]


class Story:
    """Brings a message into a state; `claims` are the ids that a row may give."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.queue = "q"
        self.message_id = ""
        self.claims = {"unknown": "0" * 24, "malformed": "1%202", "none": ""}

    async def tell(self, state: str) -> None:
        delay_s = 90 if state == "delayed" else 0
        (self.message_id,) = await self._service.post_bodies("q", 1, delay=delay_s)
        match state:
            case "absent" | "in an absent queue":
                await self._service.delete("/v2/queues/q")
                if state == "absent":
                    await self._service.put("/v2/queues/q")
            case "expired":
                self._service.clock.advance(s=3600)
            case "ready" | "delayed":
                pass
            case _:
                await self._claimed(state)

    async def _claimed(self, state: str) -> None:
        service = self._service
        self.claims["X"] = await service.claim("q", {"ttl": 60})
        await service.post_bodies("q", "another")
        match state:
            case "claimed by X":
                self.claims["Z"] = await service.claim("q")
            case "released by X":
                await service.delete(f"/v2/queues/q/claims/{self.claims['X']}")
            case "deleted under X":
                path = f"/v2/queues/q/messages/{self.message_id}"
                await service.delete(f"{path}?claim_id={self.claims['X']}")
            case "left by X when it ended":
                service.clock.advance(s=60)
            case "claimed by Z after X ended":
                service.clock.advance(s=60)
                self.claims["Z"] = await service.claim("q", limit=1)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.message}, given {row.given}")
async def test_a_message_may_be_deleted_if_its_state_allows(service: Service, row: Row) -> None:
    story = Story(service)
    await story.tell(row.message)
    path = f"/v2/queues/q/messages/{story.message_id}"
    was_there = (await service.get(path)).status == 200
    claim_id = story.claims[row.given]
    query = f"?claim_id={claim_id}" if claim_id else ""
    answer = await service.delete(path + query)
    if row.answer == GONE:
        assert (answer.status, answer.content) == (204, b"")
    else:
        assert answer.error == row.answer
    is_there = (await service.get(path)).status == 200
    assert is_there == (was_there and row.answer != GONE)


async def test_a_late_delete_says_that_the_claim_was_lost(service: Service) -> None:
    (message_id,) = await service.post_bodies("q", 1)
    claim_id = await service.claim("q", {"ttl": 60})
    path = f"/v2/queues/q/messages/{message_id}"
    assert (await service.delete(path)).json["code"] == "message_claimed"
    service.clock.advance(s=60)
    late = f"{path}?claim_id={claim_id}"
    assert (await service.delete(late)).json["code"] == "claim_lost"
    await service.claim("q")
    assert (await service.delete(late)).json["code"] == "claim_lost"


async def test_a_bulk_delete_takes_messages_in_every_state(service: Service) -> None:
    claimed, ready = await service.post_bodies("q", 1, 2)
    await service.claim("q", limit=1)
    (delayed,) = await service.post_bodies("q", 3, delay=60)
    ids = f"{claimed},{ready},{delayed},unknown,{ready}"
    answer = await service.delete(f"/v2/queues/q/messages?ids={ids}")
    assert (answer.status, answer.content) == (204, b"")
    assert (await service.get("/v2/queues/q/stats")).json["messages"]["total"] == 0


async def test_a_bulk_delete_under_claims_leaves_and_reports_the_others(
    service: Service,
) -> None:
    held, other, ready = await service.post_bodies("q", 1, 2, 3)
    mine = await service.claim("q", limit=1)
    theirs = await service.claim("q", limit=1)
    path = f"/v2/queues/q/messages?ids={held},{other}&claim_ids={mine}"
    assert (await service.delete(path)).error == CLAIMED
    left = await service.bodies("q", "echo=1&include_claimed=1")
    assert left == [2, 3]
    both = f"/v2/queues/q/messages?ids={held}&ids={other}&claim_ids={mine},{theirs}"
    assert (await service.delete(both)).status == 204
    not_held = f"/v2/queues/q/messages?ids={ready}&claim_ids={mine}"
    assert (await service.delete(not_held)).error == LOST
    assert await service.bodies("q") == [3]


async def test_a_server_may_demand_claims_for_bulk_deletes(start: Start) -> None:
    async with start(message_delete_with_claim_id=True) as service:
        (message_id,) = await service.post_bodies("q", 1)
        path = f"/v2/queues/q/messages?ids={message_id}"
        refused = await service.delete(path)
        assert refused.error == (400, "Invalid API request")
        assert "claim_ids" in refused.json["description"]
        claim_id = await service.claim("q")
        assert (await service.delete(f"{path}&claim_ids={claim_id}")).status == 204
        single = await service.post_bodies("q", 2)
        assert (await service.delete(f"/v2/queues/q/messages/{single[0]}")).status == 204
