"""One real server, started as the documents say, for all of their examples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.nusku import NuskuServer


@pytest.fixture(scope="session")
def nusku(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NuskuServer]:
    folder = tmp_path_factory.mktemp("documented")
    server = NuskuServer(folder, f"sqlite:///{folder}/nusku.db").start()
    yield server
    server.stop()
