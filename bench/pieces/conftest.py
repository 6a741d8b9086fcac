"""Stores for the benchmarks, in an event loop like that of the server."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from bench.pieces.driven import Driven
from storage_drivers import open_storage
from tests.conftest import mongodb_server, redis_server

__all__ = ["mongodb_server", "redis_server"]


@pytest.fixture
def loop() -> Iterator[uvloop.Loop]:
    """Return an event loop of its own."""
    loop = uvloop.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(params=["sqlite", "redis", "mongodb"])
def driven(
    request: pytest.FixtureRequest, tmp_path: Path, loop: uvloop.Loop
) -> Iterator[Driven]:
    """Return an open store of each kind with one queue."""
    kind = str(request.param)
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'bench.db'}"
    else:
        server = request.getfixturevalue(f"{kind}_server")
        name = secrets.token_hex(6)
        url = f"{server.url}?namespace={name}" if kind == "redis" else f"{server.url}/{name}"
    store = open_storage(url, timeout_ms=30_000)
    loop.run_until_complete(store.open())
    driven = Driven(store, loop)
    yield driven
    loop.run_until_complete(store.close())
