"""The address of published keys, when it answers as no identity provider should."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.clock import MovableClock
from tests.identity.issuer import KeySet, SigningKey
from transport.identity import verifying_keys
from transport.identity.verifying_keys import KeysUnavailable, source

TIMEOUT_S = 0.3


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying_keys, "_TIMEOUT_S", TIMEOUT_S)


@asynccontextmanager
async def _address(*pieces: bytes, endless: bytes = b"") -> AsyncIterator[str]:
    """Serve `pieces`, then `endless` again and again, slowly if it is short."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().split()[1])
        try:
            writer.writelines(pieces)
            while endless and not writer.is_closing():
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(0 if len(endless) > 1 else 0.05)
        except ConnectionError:
            pass  # the reader has had enough, as it should
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys?tenant=1"
        assert asked == ["/keys?tenant=1"]
    finally:
        server.close()


def _ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def _has_none(url: str, clock: MovableClock) -> None:
    begin_s = time.monotonic()
    with pytest.raises(KeysUnavailable):
        await source(url, clock).find(None, "EdDSA")
    assert time.monotonic() - begin_s < 10 * TIMEOUT_S


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"307 Other", b"308 Other"])
async def test_no_redirect_is_followed(clock: MovableClock, status: bytes) -> None:
    with KeySet(SigningKey("EdDSA", "k")) as keys:
        for target in (keys.url, "file:///etc/passwd"):
            line = b"HTTP/1.1 %b\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n"
            async with _address(line % (status, target.encode())) as url:
                await _has_none(url, clock)
        assert keys.reads == 0


async def test_an_answer_without_end_is_given_up(clock: MovableClock) -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    async with _address(head, endless=b" " * 65_536) as url:
        await _has_none(url, clock)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_an_answer_that_drips_in_is_given_up(clock: MovableClock, head: bytes) -> None:
    async with _address(head, endless=b" ") as url:
        await _has_none(url, clock)


async def test_a_refusal_gives_no_keys(clock: MovableClock) -> None:
    body = json.dumps({"keys": [SigningKey("EdDSA", "k").jwk]}).encode()
    async with _address(_ok(body).replace(b"200 OK", b"403 No")) as url:
        await _has_none(url, clock)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"keys": {}}',
        b'{"keys": [1, null, "k", [], {}]}',
        b'{"keys": [{"kty": "RSA", "n": 1, "e": []}]}',
        b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": {}}]}',
        b'{"keys": [{"kty": ["RSA"]}]}',
        b"\xff",
    ],
)
async def test_rubbish_gives_no_keys(clock: MovableClock, body: bytes) -> None:
    async with _address(_ok(body)) as url:
        await _has_none(url, clock)


async def test_one_odd_key_does_not_spoil_the_others(clock: MovableClock) -> None:
    odd = [{"kty": "RSA", "n": 1}, {"kty": 7}, {"kty": "OKP", "crv": "Ed25519", "x": {}}]
    body = json.dumps({"keys": [*odd, SigningKey("EdDSA", "k").jwk]}).encode()
    async with _address(_ok(body)) as url:
        assert await source(url, clock).find("k", "EdDSA") is not None
