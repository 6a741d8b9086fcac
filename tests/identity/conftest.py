"""Fixtures: the service with identities, twice on one store, like two server processes."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from queues.config import Settings
from storage_drivers import open_storage
from tests.clock import MovableClock
from tests.identity.issuer import AUDIENCE, ISSUER, SigningKey
from tests.transport.service import Service, running
from transport.logs import LineFormatter

KEYS = f"""
[signed_urls]
new = "another secret"
old = "notreallysecret"

[tokens]
new = "{base64.b64encode(b"n" * 32).decode()}"
old = "{base64.b64encode(b"o" * 32).decode()}"
"""

Start = Callable[..., Any]


@pytest.fixture
async def start(sqlite_file: Path, tmp_path: Path, clock: MovableClock) -> AsyncIterator[Start]:
    """Return how to run the service; each call is one more process on the same store."""
    keys = tmp_path / "keys.toml"
    keys.write_text(KEYS)
    async with AsyncExitStack() as stack:

        async def begin(**settings: object) -> Service:
            storage = open_storage(f"sqlite:///{sqlite_file}", timeout_ms=5000)
            given = {"keys_file": str(keys), **settings}
            return await stack.enter_async_context(
                running(storage, clock, Settings(**given))  # type: ignore[arg-type]
            )

        yield begin


@pytest.fixture
async def service(start: Start) -> Service:
    """The service without authentication, but with keys."""
    running_service: Service = await start()
    return running_service


@pytest.fixture
async def elsewhere(start: Start) -> Service:
    """Another process on the same store."""
    running_service: Service = await start()
    return running_service


@pytest.fixture
def issuer_key(tmp_path: Path) -> SigningKey:
    return SigningKey("EdDSA")


@pytest.fixture
async def guarded(start: Start, tmp_path: Path, issuer_key: SigningKey) -> Service:
    """The service that believes only tokens of the issuer."""
    file = tmp_path / "issuer.pem"
    file.write_bytes(issuer_key.public)
    running_service: Service = await start(
        auth_strategy="jwt", jwt_keys=str(file), jwt_issuer=ISSUER, jwt_audience=AUDIENCE
    )
    return running_service


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the audit log writes, formatted as a server does."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(LineFormatter())
    log = logging.getLogger("nusku.audit")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield written
    log.removeHandler(handler)
    log.setLevel(level)
