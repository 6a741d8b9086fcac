"""Fixtures: a store of each kind, and servers that are gone when the test is."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.hook import Hook
from tests.e2e.nusku import NuskuServer
from tests.servers.mongodb import MongoServer, mongodb_binary
from tests.servers.process import Server, missing
from tests.servers.redis import RedisServer, redis_binary

Serve = Callable[..., NuskuServer]


@dataclass
class Store:
    """A fresh store: its URL, and its server if there is one that can be killed."""

    url: str
    server: Server | None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
    # Those that wait for long come first, and others beside them.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def _new_server(kind: str, folder: Path) -> RedisServer | MongoServer:
    if kind == "redis":
        if redis_binary() is None:
            missing("redis-server")
        return RedisServer(folder)
    if mongodb_binary() is None:
        missing("nx-27017")
    return MongoServer(folder)


def _url(kind: str, server: RedisServer | MongoServer) -> str:
    name = f"e2e{secrets.token_hex(4)}"
    return f"{server.url}?namespace={name}" if kind == "redis" else f"{server.url}/{name}"


STORES = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("redis", id="redis", marks=pytest.mark.redis),
    pytest.param("mongodb", id="mongodb", marks=pytest.mark.mongodb),
]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store on a server that all tests share."""
    if request.param == "sqlite":
        return Store(f"sqlite:///{tmp_path}/nusku.db", None)
    server = request.getfixturevalue(f"{request.param}_server")
    return Store(_url(request.param, server), None)


@pytest.fixture(params=STORES[1:])
def mortal_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store on a server of its own, for tests that kill it."""
    server = _new_server(request.param, tmp_path / request.param)
    server.start()
    yield Store(_url(request.param, server), server)
    server.kill()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers by calling this with a storage URL and flags."""
    servers: list[NuskuServer] = []

    def start(storage: str, *flags: str) -> NuskuServer:
        servers.append(NuskuServer(tmp_path / f"nusku-{len(servers)}", storage, *flags))
        return servers[-1].start()

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A receiver of webhooks."""
    receiver = Hook().start()
    yield receiver
    receiver.stop()
