"""Short forms of operations, for one project and one client."""

from __future__ import annotations

from queues.model import Media
from queues.operations import Operations
from queues.operations.claims import ClaimView, Wanted
from queues.operations.messages import Draft, MessageQuery, Snapshot
from queues.operations.queues import QueuePage, QueueQuery
from queues.patch import Change

PROJECT = "p"
CLIENT = "3381af92-2b9e-11e3-b191-71861300734c"
QUEUE = "q"


def draft(body: bytes = b"1", *, ttl_s: int | None = None, delay_s: int | None = None) -> Draft:
    return Draft(body, Media.JSON, ttl_s, delay_s)


async def post(
    operations: Operations, *drafts: Draft, key: str | None = None, size_bytes: int = 10
) -> list[str]:
    posted = await operations.messages.post(
        PROJECT,
        QUEUE,
        drafts or (draft(),),
        client_id=CLIENT,
        document_bytes=size_bytes,
        idempotency_key=key,
    )
    return list(posted.message_ids)


async def everything(operations: Operations) -> Snapshot:
    query = MessageQuery("", 20, echo=True, include_claimed=True, include_delayed=True)
    return await operations.messages.list(PROJECT, QUEUE, query, client_id=CLIENT)


async def claim(
    operations: Operations, *, limit: int = 10, key: str | None = None
) -> ClaimView | None:
    return await operations.claims.create(PROJECT, QUEUE, Wanted(None, None, limit, key))


async def patch(operations: Operations, key: str, value: object) -> None:
    await operations.queues.update(PROJECT, QUEUE, [Change("add", key, value)])


async def list_queues(operations: Operations, marker: str = "", **asked: object) -> QueuePage:
    query = QueueQuery(
        marker, limit=20, detailed=False, name_part="", with_count=False, filters={}
    )
    return await operations.queues.list(PROJECT, query._replace(**asked))
