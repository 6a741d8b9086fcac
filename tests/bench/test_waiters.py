"""The measurement of requests that wait, on a small scale."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import idle, wakeups
from bench.client import LoadFailed
from bench.measure import Target
from bench.options import parser
from bench.stores import SqliteStore, Store
from tests.transport.live import LiveServer


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = LiveServer(tmp_path_factory.mktemp("live") / "nusku.db")
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeups, "_SETTLE_S", 0.2)
    monkeypatch.setattr(idle, "_SETTLE_S", 0.2)
    monkeypatch.setattr(idle, "_WINDOW_S", 0.3)


def _target(live: LiveServer) -> Target:
    return Target("{}:{}".format(*live.address), [os.getpid()])


async def test_each_message_wakes_somebody(live: LiveServer) -> None:
    found = await wakeups.measured(_target(live), waiters=4, rate=50, duration_s=0.4)
    assert found["wakes"] == 20
    assert 0 < found["wake_p50_ms"] <= found["wake_max_ms"] < 5000


async def test_those_who_wait_come_back(
    live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "_WAIT_S", 2)
    found = await idle.measured(_target(live), waiters=30, queues=4)
    assert found["came_back"] == 30
    assert found["waiters"] == 30


async def test_who_cannot_wait_is_no_measurement(
    live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "_WAIT_S", 61)
    with pytest.raises(LoadFailed):
        await idle.measured(_target(live), waiters=2, queues=1)


async def test_what_sqlite_is_asked_is_counted(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with store.counted() as queries:
        found = await idle.asked(store.url, queries, waiters=20, queues=3)
        assert found["store_queries_per_s"] == 0
        before = queries()
        connection = sqlite3.connect(tmp_path / "bench.db")
        connection.execute("SELECT 1")
        connection.close()
        assert queries() == before + 1


def test_other_stores_are_not_counted() -> None:
    with pytest.raises(LoadFailed, match="not counted"):
        Store.counted(SqliteStore(Path()))


def test_five_thousand_wait_unless_told_otherwise() -> None:
    flags = parser().parse_args(["waiters"])
    assert (flags.waiters, flags.rate, flags.start) == (5000, 50, [])
