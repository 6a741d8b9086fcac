"""Encryption at rest for messages that do not ask for it, so that every test tests it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from queues.model import Idempotency, NewMessage
from queues.storage import Storage
from storage_drivers.sealed import SealedStorage


class AllSealed(SealedStorage):
    """Seals every message that is posted."""

    def __init__(self, inner: Storage, keys: Mapping[str, bytes]) -> None:
        super().__init__(inner, keys)
        post = self.messages.post

        async def post_sealed(
            project: str,
            queue: str,
            messages: Sequence[NewMessage],
            *,
            queue_version: int,
            idempotency: Idempotency | None,
            now_ms: int,
        ) -> Sequence[int]:
            return await post(
                project,
                queue,
                [message._replace(seal=True) for message in messages],
                queue_version=queue_version,
                idempotency=idempotency,
                now_ms=now_ms,
            )

        self.messages.post = post_sealed  # type: ignore[method-assign]
