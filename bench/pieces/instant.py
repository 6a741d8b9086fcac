"""A store that answers at once and keeps nothing, so that what is above it can be timed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from queues.model import Claim, Media, Message, MessagePage, Queue
from queues.storage import Storage

_BODY = b'{"event": "' + b"x" * 88 + b'"}'
_FIRST = 1_800_000_000 << 20


def instant_storage() -> Storage:
    """Return a store with one queue, ten messages in it, and no memory.

    NOTE: only what the benchmarked requests call.
    """
    return cast(
        Storage,
        SimpleNamespace(
            queues=SimpleNamespace(get=_queue),
            messages=SimpleNamespace(post=_post, list=_list, get=_get, delete=_delete),
            claims=SimpleNamespace(claim=_claim),
            quotas=SimpleNamespace(get=_no_limits),
            records=SimpleNamespace(list=_no_records),
        ),
    )


async def _queue(project: str, queue: str) -> Queue:
    return Queue(queue, b"{}", 1, 0)


async def _no_limits(project: str) -> None:
    return None


async def _no_records(project: str, kind: str, scope: str, **_: Any) -> list[Any]:
    return []


async def _post(project: str, queue: str, messages: list[Any], **_: Any) -> range:
    return range(_FIRST, _FIRST + len(messages))


async def _list(project: str, queue: str, *, limit: int, now_ms: int, **_: Any) -> MessagePage:
    return MessagePage(_messages(limit, now_ms, None), _FIRST + limit)


async def _get(
    project: str, queue: str, seqs: list[int], *, now_ms: int, **_: Any
) -> list[Message]:
    return _messages(len(seqs), now_ms, None)


async def _delete(project: str, queue: str, seqs: list[int], **_: Any) -> dict[int, Any]:
    return {}


async def _claim(
    project: str, queue: str, *, claim_id: str, limit: int, now_ms: int, **_: Any
) -> Claim:
    return Claim(claim_id, 300_000, now_ms, _messages(limit, now_ms, claim_id))


def _messages(count: int, now_ms: int, claim_id: str | None) -> list[Message]:
    return [
        Message(
            _FIRST + number, now_ms, 3600, now_ms + 3_600_000, _BODY, Media.JSON,
            claim_id, 0, now_ms + 1, None, number,
        )
        for number in range(count)
    ]  # fmt: skip
