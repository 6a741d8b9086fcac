"""What stands in for an application that cannot start."""

from __future__ import annotations

from typing import Any

import pytest

from transport.standby import Standby


@pytest.mark.parametrize(
    ("kind", "prefix"), [("http", "http"), ("websocket", "websocket.http")]
)
async def test_it_answers_503_whatever_is_asked_for(kind: str, prefix: str) -> None:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    await Standby(lambda: pytest.fail("composed"))({"type": kind}, None, send)
    head, body = sent
    assert (head["type"], head["status"]) == (f"{prefix}.response.start", 503)
    assert (b"retry-after", b"2") in head["headers"]
    assert body["type"] == f"{prefix}.response.body"
