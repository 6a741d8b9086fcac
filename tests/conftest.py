"""Fixtures for all tests: the clock, and one real server of each kind a session."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from storage_drivers import open_storage
from tests.clock import MovableClock
from tests.servers.keystone import KeystoneServer, prepare_keystone
from tests.servers.mongodb import MongoServer, mongodb_binary
from tests.servers.process import missing
from tests.servers.redis import RedisCluster, RedisServer, redis_binary

S = TypeVar("S", RedisServer, RedisCluster, MongoServer, KeystoneServer)


settings.register_profile("thorough", max_examples=2000)


def pytest_configure() -> None:
    # NOTE: so that `timeout` and a cancelled CI job end the servers too, not only pytest.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"

    async def make() -> None:
        storage = open_storage(f"sqlite:///{path}", timeout_ms=5000)
        await storage.open()
        await storage.close()

    asyncio.run(make())
    return path


@pytest.fixture
def sqlite_file(_sqlite_template: Path, tmp_path: Path) -> Path:
    """An SQLite file in which there is nothing but the schema, as a copy: that takes less."""
    return Path(shutil.copyfile(_sqlite_template, tmp_path / "nusku.db"))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if redis_binary() is None:
        missing("redis-server")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield from _running(server)


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    if redis_binary() is None:
        missing("redis-server")
    cluster = RedisCluster(tmp_path_factory.mktemp("redis-cluster"))
    yield from _running(cluster)


@pytest.fixture(scope="session")
def mongodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    if mongodb_binary() is None:
        missing("nx-27017")
    server = MongoServer(tmp_path_factory.mktemp("mongodb"))
    yield from _running(server)


@pytest.fixture(scope="session")
def keystone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeystoneServer]:
    prepare_keystone()
    yield from _running(KeystoneServer(tmp_path_factory.mktemp("keystone") / "data"))


def _running(server: S) -> Iterator[S]:
    server.start()
    yield server
    server.kill()
