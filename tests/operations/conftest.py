"""Fixtures: operations on a fresh SQLite file, and a second server process' worth of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from queues.limits import Limits
from queues.operations import Operations
from storage_drivers import open_storage
from tests.clock import MovableClock
from tests.conformance.reference import ReferenceStorage
from tests.conformance.world import World
from tests.operations.signal_process import Process
from tests.transport.faults import FaultyStorage


async def opened(path: Path) -> FaultyStorage:
    storage = FaultyStorage(open_storage(f"sqlite:///{path}", timeout_ms=5000))
    await storage.open()
    return storage


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[FaultyStorage]:
    first = await opened(tmp_path / "nusku.db")
    yield first
    await first.close()


@pytest.fixture
async def other_storage(storage: FaultyStorage, tmp_path: Path) -> AsyncIterator[FaultyStorage]:
    second = await opened(tmp_path / "nusku.db")
    yield second
    await second.close()


@pytest.fixture
def operations(storage: FaultyStorage, clock: MovableClock) -> Operations:
    return Operations(storage, Limits(), clock)


@pytest.fixture
def elsewhere(other_storage: FaultyStorage, clock: MovableClock) -> Operations:
    """The operations of another server process on the same store."""
    return Operations(other_storage, Limits(), clock)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def here(world: World, clock: MovableClock) -> Process:
    return Process(ReferenceStorage(world), clock)


@pytest.fixture
def there(world: World, clock: MovableClock) -> Process:
    """Another server process on the same store."""
    return Process(ReferenceStorage(world), clock)
