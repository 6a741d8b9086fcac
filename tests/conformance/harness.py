"""One fresh namespace in one store, and everything that a test may do with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from queues.storage import Capabilities, Storage
from tests.conformance.backends import Backend

TIMEOUT_MS = 10_000


class Harness:
    """Opens any number of independent storages on one namespace, and closes all of them."""

    def __init__(self, backend: Backend, tmp_path: Path) -> None:
        self.backend = backend
        self.url = backend.fresh_url(tmp_path)
        self._opened: list[Storage] = []

    @property
    def capabilities(self) -> Capabilities:
        """What the driver says of itself."""
        return self._opened[0].capabilities

    async def another(self, *, timeout_ms: int = TIMEOUT_MS) -> Storage:
        """Open one more instance on the same data, like a second server process would."""
        return await self._open(self.backend.storage(self.url, timeout_ms=timeout_ms))

    async def beneath(self) -> Storage:
        """Open what keeps the bytes, without whatever stands in front of it."""
        return await self._open(self.backend.beneath(self.url, timeout_ms=TIMEOUT_MS))

    async def _open(self, storage: Storage) -> Storage:
        await storage.open()
        self._opened.append(storage)
        return storage

    async def close(self, storage: Storage) -> None:
        """Close one instance before the end of the test."""
        self._opened.remove(storage)
        await storage.close()

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Make the store fail within the block, and bring it back with all its data.

        Meanwhile the event loop goes on, as it does in a server: drivers may notice.
        """
        await asyncio.to_thread(self.backend.stop, self.url)
        try:
            yield
        finally:
            await asyncio.to_thread(self.backend.start, self.url)

    @contextmanager
    def hang(self) -> Iterator[None]:
        """Make the store keep silent within the block."""
        self.backend.pause()
        try:
            yield
        finally:
            self.backend.resume()

    async def close_all(self) -> None:
        """Close all instances and remove the namespace."""
        while self._opened:
            await self._opened.pop().close()
        self.backend.discard(self.url)
