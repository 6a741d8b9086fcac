"""Outbox records: what was posted comes back, byte for byte and by number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queues import outboxes
from queues.errors import StorageUnavailable
from queues.model import Media, NewMessage, Record, RecordKind
from queues.records import SEALED

NOW_MS = 1_800_000_000_123

messages = st.lists(
    st.builds(
        NewMessage,
        body=st.binary(max_size=40),
        media=st.sampled_from([Media.JSON, Media.MSGPACK]),
        ttl_s=st.integers(60, 10**6),
        delay_ms=st.integers(0, 900).map(lambda s: s * 1000),
        client_id=st.just("ann"),
    ),
    min_size=1,
    max_size=8,
)


def record(document: bytes) -> Record:
    return Record(RecordKind.OUTBOX, "q", "k", document, 1)


@given(messages, st.booleans(), st.integers(0, 9), st.integers(1, 9))
def test_any_part_of_a_post_can_be_read(
    posted: list[NewMessage], delayed: bool, start: int, limit: int
) -> None:
    stored = record(outboxes.encode(posted, delayed=delayed, now_ms=NOW_MS))
    assert stored.document.startswith(b"{")
    found, size = outboxes.read(stored, start=start, limit=limit)
    assert size == len(posted)
    assert [one.number for one in found] == list(range(len(posted)))[start : start + limit]
    for one, message in zip(found, posted[start:], strict=False):
        assert (one.body, one.media, one.ttl_s) == (message.body, message.media, message.ttl_s)
        assert (one.client_id, one.posted_ms) == ("ann", NOW_MS)
        assert one.due_ms == NOW_MS + message.delay_ms
        assert one.delay_s == (message.delay_ms // 1000 if delayed else None)


def test_what_is_encrypted_is_not_read() -> None:
    with pytest.raises(StorageUnavailable):
        outboxes.read(record(SEALED + b"x"), start=0, limit=1)
