"""Fixtures: the service in process on a fresh SQLite file, and one over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from queues.config import Settings
from storage_drivers import open_storage
from tests.clock import MovableClock
from tests.transport.live import LiveServer
from tests.transport.receiver import OK, Receiver, receiving, says
from tests.transport.service import Service, running

Start = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def start(sqlite_file: Path, clock: MovableClock) -> Start:
    """Return how to run the service with settings of one's own."""

    def begin(**settings: object) -> AbstractAsyncContextManager[Service]:
        storage = open_storage(f"sqlite:///{sqlite_file}", timeout_ms=5000)
        return running(storage, clock, Settings(**settings))  # type: ignore[arg-type]

    return begin


@pytest.fixture
async def service(start: Start) -> AsyncIterator[Service]:
    async with start() as running_service:
        yield running_service


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver of webhooks that is content with everything."""
    async with receiving(says(OK)) as one:
        yield one


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = LiveServer(tmp_path_factory.mktemp("live") / "nusku.db")
    server.start()
    yield server
    server.stop()
