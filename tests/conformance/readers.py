"""Readers with cursors: one server process, one queue, and short forms of what they do."""

from __future__ import annotations

import pytest

from queues import ids
from queues.errors import (
    CursorTooOld,
)
from queues.limits import Limits
from queues.model import Media
from queues.operations import Operations
from queues.operations.messages import Draft
from queues.operations.readings import Reading, place_of
from queues.storage import Storage
from tests.clock import MovableClock

PROJECT, QUEUE = "alpha", "orders"
TAG = ids.queue_tag(PROJECT, QUEUE)


class Server:
    """One server process, with one queue and its cursors."""

    def __init__(self, storage: Storage, clock: MovableClock) -> None:
        self.operations = Operations(storage, Limits(), clock)
        self.cursors = self.operations.cursors

    async def post(
        self, *bodies: int, delay_s: int | None = None, ttl_s: int | None = None
    ) -> list[str]:
        drafts = [Draft(b"%d" % body, Media.JSON, ttl_s, delay_s) for body in bodies]
        posted = await self.operations.messages.post(
            PROJECT, QUEUE, drafts, client_id="c", document_bytes=9, idempotency_key=None
        )
        return list(posted.message_ids)

    async def create(self, name: str = "r", start: str = "oldest") -> bool:
        return await self.cursors.create(PROJECT, QUEUE, name, start=start)

    async def read(
        self, name: str = "r", *, after: str | None = None, limit: int = 20
    ) -> Reading:
        return await self.cursors.read(PROJECT, QUEUE, name, after=after, limit=limit)

    async def bodies(self, name: str = "r") -> list[int]:
        return [int(message.body) for message in (await self.read(name)).messages]

    async def acknowledge(self, position: str, name: str = "r") -> None:
        await self.cursors.acknowledge(PROJECT, QUEUE, name, position)

    async def lag(self, name: str = "r") -> int:
        return (await self.cursors.get(PROJECT, QUEUE, name)).lag

    async def names(self) -> list[str]:
        page = await self.cursors.list(PROJECT, QUEUE, marker="", limit=20)
        return [cursor.name for cursor in page.cursors]

    async def remove(self, *message_ids: str) -> None:
        await self.operations.messages.delete_many(PROJECT, QUEUE, message_ids, claim_ids=None)

    async def lost(self) -> tuple[int, str]:
        """Return how many messages are reported as lost, and where to go on."""
        with pytest.raises(CursorTooOld) as caught:
            await self.read()
        return caught.value.lost, caught.value.oldest


def end_of(reading: Reading) -> str:
    return ids.position(*reading.end, reading.tag)


def position_of(reading: Reading, index: int) -> str:
    return ids.position(*place_of(reading.messages[index]), reading.tag)
