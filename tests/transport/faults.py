"""A store that fails, or is disturbed, at the moment that a test chooses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from queues.ledgers import CredentialStore, QuotaStore
from queues.model import Health
from queues.records import RecordStore
from queues.storage import ClaimStore, MessageStore, QueueStore, Storage
from queues.wakeups import Wakeups

Hook = Callable[[str], Awaitable[None]]


class FaultyStorage(Storage):
    """A real store behind two hooks, each called with the name of the method.

    `before` runs before the real call and `after` once it is done; what they raise is what
    the caller gets.
    """

    def __init__(self, real: Storage) -> None:
        self._real = real
        self.capabilities = real.capabilities
        self.before: Hook | None = None
        self.after: Hook | None = None

    def fail(self, error: Exception) -> None:
        """Raise `error` from every call before it reaches the store."""

        async def before(name: str) -> None:
            raise error

        self.before = before

    def recover(self) -> None:
        self.before = self.after = None

    @property
    def queues(self) -> QueueStore:  # type: ignore[override]
        return cast(QueueStore, _View(self, "queues"))

    @property
    def messages(self) -> MessageStore:  # type: ignore[override]
        return cast(MessageStore, _View(self, "messages"))

    @property
    def claims(self) -> ClaimStore:  # type: ignore[override]
        return cast(ClaimStore, _View(self, "claims"))

    @property
    def credentials(self) -> CredentialStore:  # type: ignore[override]
        return cast(CredentialStore, _View(self, "credentials"))

    @property
    def quotas(self) -> QuotaStore:  # type: ignore[override]
        return cast(QuotaStore, _View(self, "quotas"))

    @property
    def records(self) -> RecordStore:  # type: ignore[override]
        return cast(RecordStore, _View(self, "records"))

    @property
    def wakeups(self) -> Wakeups:  # type: ignore[override]
        return cast(Wakeups, self._real.wakeups)

    async def open(self) -> None:
        await self._real.open()

    async def close(self) -> None:
        await self._real.close()

    async def health(self) -> Health:
        return cast(Health, await self.call("health", self._real.health))

    async def sweep(self, *, limit: int, now_ms: int) -> int:
        swept = await self.call("sweep", self._real.sweep, limit=limit, now_ms=now_ms)
        return cast(int, swept)

    def view(self, name: str) -> object:
        return getattr(self._real, name)

    async def call(
        self, name: str, method: Callable[..., Awaitable[object]], *args: Any, **kwargs: Any
    ) -> object:
        if self.before is not None:
            await self.before(name)
        result = await method(*args, **kwargs)
        if self.after is not None:
            await self.after(name)
        return result


class _View:
    """One of the views, with the hooks around each of its methods."""

    def __init__(self, storage: FaultyStorage, name: str) -> None:
        self._storage = storage
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Awaitable[object]]:
        real = getattr(self._storage.view(self._name), method)

        async def call(*args: Any, **kwargs: Any) -> object:
            name = f"{self._name}.{method}"
            return await self._storage.call(name, real, *args, **kwargs)

        return call
