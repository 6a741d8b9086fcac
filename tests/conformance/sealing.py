"""Encryption at rest for whatever does not ask for it, so that every test tests it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from queues.model import Idempotency, NewMessage, Record
from queues.storage import Storage
from storage_drivers.sealed import SealedStorage


class AllSealed(SealedStorage):
    """Seals every message that is posted, and every record."""

    def __init__(self, inner: Storage, keys: Mapping[str, bytes]) -> None:
        super().__init__(inner, keys)
        post = self.messages.post
        create, replace = self.records.create, self.records.replace

        async def post_sealed(
            project: str,
            queue: str,
            messages: Sequence[NewMessage],
            *,
            queue_version: int,
            idempotency: Idempotency | None,
            now_ms: int,
            outbox: Record | None = None,
        ) -> Sequence[int]:
            return await post(
                project,
                queue,
                [message._replace(seal=True) for message in messages],
                queue_version=queue_version,
                idempotency=idempotency,
                now_ms=now_ms,
                outbox=outbox and outbox._replace(seal=True),
            )

        async def create_sealed(project: str, record: Record, *, now_ms: int) -> bool:
            return await create(project, record._replace(seal=True), now_ms=now_ms)

        async def replace_sealed(project: str, record: Record, *, now_ms: int) -> bool:
            return await replace(project, record._replace(seal=True), now_ms=now_ms)

        self.messages.post = post_sealed  # type: ignore[method-assign]
        self.records.create = create_sealed  # type: ignore[method-assign]
        self.records.replace = replace_sealed  # type: ignore[method-assign]
