"""One real server, started as the documents say, for all of their examples."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator

import pytest

from tests.e2e.nusku import NuskuServer


@pytest.fixture(scope="session")
def nusku(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NuskuServer]:
    folder = tmp_path_factory.mktemp("documented")
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    (folder / "keys.toml").write_text(f'[signed_urls]\nk = "{key}"\n[tokens]\nk = "{key}"\n')
    (folder / "nusku.toml").write_text('keys_file = "keys.toml"\n')
    storage = f"sqlite:///{folder}/nusku.db"
    server = NuskuServer(folder, storage, "--config", "nusku.toml").start()
    yield server
    server.stop()
