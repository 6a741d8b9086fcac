"""The strategy `keystone` against answers that a real Keystone does not give on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import falcon
import pytest
import pytest_asyncio

from queues.identity import Identity
from tests.clock import MovableClock
from tests.identity.certificate import server_context
from tests.identity.false_keystone import (
    TOKEN,
    FalseKeystone,
    answer,
    false_keystone,
    logged_in,
    shown,
)
from tests.identity.test_keystone import request
from transport.identity.exchange import MAX_BYTES
from transport.identity.keystone import INVALID_MS, KeystoneStrategy
from transport.identity.keystone_service import AWAY_MS, MAX_QUESTIONS

NOT_FOUND = answer(404, b"{}")


@pytest_asyncio.fixture
async def keystone() -> AsyncIterator[FalseKeystone]:
    async with false_keystone() as server:
        yield server


@pytest.fixture
def strategy(keystone: FalseKeystone, clock: MovableClock) -> KeystoneStrategy:
    return _strategy(keystone, clock)


def _strategy(keystone: FalseKeystone, clock: MovableClock, **other: Any) -> KeystoneStrategy:
    settings: dict[str, Any] = {"timeout_s": 5.0, "cache_s": 60.0, **other}
    return KeystoneStrategy(
        url=keystone.url,
        user="nusku",
        password="a-secret-of-ours",
        user_domain="Default",
        project="service",
        project_domain="Default",
        clock=clock,
        **settings,
    )


async def _outcome(strategy: KeystoneStrategy, token: str = "t") -> type:
    try:
        return type(await strategy.identify(request(token)))
    except falcon.HTTPError as ex:
        return type(ex)


async def test_a_hundred_requests_with_one_new_token_ask_once(
    strategy: KeystoneStrategy, keystone: FalseKeystone
) -> None:
    found = await asyncio.gather(*(strategy.identify(request("t")) for _ in range(100)))
    assert len(found) == 100
    assert keystone.asked == {"login": 1, "t": 1}


async def test_who_gives_up_waiting_does_not_stop_it_for_the_others(
    strategy: KeystoneStrategy, keystone: FalseKeystone
) -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def wait(writer: asyncio.StreamWriter, token: str) -> None:
        asked.set()
        await release.wait()
        writer.write(shown())

    keystone.validation = wait
    first = asyncio.create_task(strategy.identify(request("t")))
    second = asyncio.create_task(strategy.identify(request("t")))
    await asked.wait()
    first.cancel()
    release.set()
    assert (await second).project == "p1"
    assert keystone.asked["t"] == 1


async def test_a_token_is_asked_about_again_when_the_cache_ends(
    strategy: KeystoneStrategy, keystone: FalseKeystone, clock: MovableClock
) -> None:
    for step_s, asked in ((0, 1), (59, 1), (1, 2)):
        clock.advance(s=step_s)
        await strategy.identify(request("t"))
        assert keystone.asked["t"] == asked


async def test_our_own_token_is_renewed_half_a_minute_before_it_expires(
    strategy: KeystoneStrategy, keystone: FalseKeystone, clock: MovableClock
) -> None:
    end = datetime.fromtimestamp(clock.now_ms() / 1000 + 100, UTC).isoformat()
    keystone.login = logged_in({"token": {**TOKEN["token"], "expires_at": end}})
    for step_s, logins in ((0, 1), (69, 1), (1, 2)):
        clock.advance(s=step_s)
        await strategy.identify(request(f"new after {step_s}".replace(" ", "-")))
        assert keystone.asked["login"] == logins


async def test_nothing_is_kept_with_a_cache_of_no_seconds(
    keystone: FalseKeystone, clock: MovableClock
) -> None:
    strategy = _strategy(keystone, clock, cache_s=0.0)
    for asked in (1, 2):
        await strategy.identify(request("t"))
        assert keystone.asked["t"] == asked


async def test_what_is_invalid_is_remembered_shortly(
    strategy: KeystoneStrategy, keystone: FalseKeystone, clock: MovableClock
) -> None:
    keystone.validation = NOT_FOUND
    for step_ms, asked in ((0, 1), (INVALID_MS - 1, 1), (1, 2)):
        clock.advance(ms=step_ms)
        assert await _outcome(strategy) is falcon.HTTPUnauthorized
        assert keystone.asked["t"] == asked


async def test_invented_tokens_do_not_push_valid_ones_out(
    strategy: KeystoneStrategy, keystone: FalseKeystone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategy._proofs, "_size", 3)  # noqa: SLF001
    monkeypatch.setattr(strategy._invalid_until_ms, "_size", 3)  # noqa: SLF001
    await strategy.identify(request("valid"))
    keystone.validation = NOT_FOUND
    for number in range(10):
        await _outcome(strategy, f"invented-{number}")
    assert await _outcome(strategy, "valid") is not falcon.HTTPUnauthorized
    assert keystone.asked["valid"] == 1
    assert len(strategy._invalid_until_ms._entries) == 3  # noqa: SLF001


_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_DOCUMENT = json.dumps(TOKEN).encode()


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.0 200 OK\r\n\r\n" + _DOCUMENT,
        _CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(_DOCUMENT), _DOCUMENT),
    ],
    ids=["up-to-the-end", "in-chunks"],
)
async def test_every_form_of_http_answer_is_understood(
    strategy: KeystoneStrategy, keystone: FalseKeystone, said: bytes
) -> None:
    keystone.validation = said
    assert (await strategy.identify(request("t"))).project == "p1"


_GARBAGE = {
    "nothing": b"",
    "no-http": b"220 mail.example ESMTP\r\n\r\n",
    "half-a-head": b"HTTP/1.1 200 OK\r\nContent-",
    "half-a-body": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
    "negative-length": b"HTTP/1.1 200 OK\r\nContent-Length: -9\r\n\r\n{}",
    "half-a-chunk": _CHUNKED + b"ff\r\n{}",
    "error": answer(500, b"oops"),
    "balancer": answer(503, b"<html>"),
    "redirect": answer(302, b"", "Location: http://elsewhere.example"),
    "html": answer(200, b"<html>"),
    "list": shown([]),
    "no-token": shown({}),
    "no-user": shown({"token": {**TOKEN["token"], "user": None}}),
    "no-end": shown({"token": {**TOKEN["token"], "expires_at": None}}),
    "end-without-zone": shown(
        {"token": {**TOKEN["token"], "expires_at": "2099-01-01T00:00:00"}}
    ),
    "roles-of-numbers": shown({"token": {**TOKEN["token"], "roles": [{"name": 1}]}}),
    "project-as-text": shown({"token": {**TOKEN["token"], "project": "p1"}}),
    "too-long": answer(200, b"x" * (MAX_BYTES + 1)),
    "too-long-head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MAX_BYTES + 1),
}


@pytest.mark.parametrize("said", _GARBAGE.values(), ids=_GARBAGE)
@pytest.mark.parametrize("where", ["login", "validation"])
async def test_garbage_is_503_and_keystone_is_asked_again_later(
    strategy: KeystoneStrategy,
    keystone: FalseKeystone,
    clock: MovableClock,
    caplog: pytest.LogCaptureFixture,
    where: str,
    said: bytes,
) -> None:
    usual = getattr(keystone, where)
    setattr(keystone, where, said)
    assert await _outcome(strategy) is falcon.HTTPServiceUnavailable
    assert len(caplog.messages) == 1
    assert "a-secret-of-ours" not in caplog.text
    setattr(keystone, where, usual)
    clock.advance(ms=AWAY_MS)
    assert (await strategy.identify(request("t"))).project == "p1"


async def test_an_outage_is_logged_once_and_its_end_too(
    strategy: KeystoneStrategy,
    keystone: FalseKeystone,
    clock: MovableClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    usual = keystone.login
    keystone.login = answer(500, b"")
    for _ in range(5):
        assert await _outcome(strategy) is falcon.HTTPServiceUnavailable
        clock.advance(ms=AWAY_MS)
    assert keystone.asked["login"] == 5
    keystone.login = usual
    await strategy.identify(request("t"))
    assert caplog.messages == [
        "Keystone is away: it answered 500 to our login",
        "Keystone answers again",
    ]


async def test_a_token_on_which_keystone_stumbles_locks_nobody_else_out(
    strategy: KeystoneStrategy, keystone: FalseKeystone
) -> None:
    async def stumble(writer: asyncio.StreamWriter, token: str) -> None:
        writer.write(answer(500, b"oops") if token == "evil" else shown())

    keystone.validation = stumble
    assert await _outcome(strategy, "evil") is falcon.HTTPServiceUnavailable
    assert (await strategy.identify(request("good"))).project == "p1"


async def test_an_answer_that_drips_in_costs_no_more_than_the_timeout(
    keystone: FalseKeystone, clock: MovableClock
) -> None:
    async def drip(writer: asyncio.StreamWriter, token: str) -> None:
        for byte in shown() * 1000:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0.01)

    keystone.validation = drip
    strategy = _strategy(keystone, clock, timeout_s=0.2)
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    assert await _outcome(strategy) is falcon.HTTPServiceUnavailable
    assert loop.time() - start_s < 2


async def test_a_flood_of_invented_tokens_opens_few_connections(
    strategy: KeystoneStrategy, keystone: FalseKeystone
) -> None:
    async def slow(writer: asyncio.StreamWriter, token: str) -> None:
        await asyncio.sleep(0.01)
        writer.write(NOT_FOUND)

    keystone.validation = slow
    found = await asyncio.gather(*(_outcome(strategy, f"t{n}") for n in range(300)))
    assert set(found) == {falcon.HTTPUnauthorized}
    assert 1 < keystone.most_open <= MAX_QUESTIONS + 1


@pytest.mark.parametrize(
    ("name", "trusted", "expected"),
    [
        ("localhost", True, Identity),
        ("localhost", False, falcon.HTTPServiceUnavailable),
        ("elsewhere.example", True, falcon.HTTPServiceUnavailable),
    ],
    ids=["ours", "not-trusted", "of-another-host"],
)
async def test_only_a_trusted_certificate_of_the_host_will_do(
    clock: MovableClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    trusted: bool,
    expected: type,
) -> None:
    tls = server_context(tmp_path / "server.pem", name)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    async with false_keystone(tls) as keystone:
        assert await _outcome(_strategy(keystone, clock)) is expected
        assert bool(keystone.asked) is (expected is Identity)


async def test_a_clock_that_is_set_back_does_not_shut_keystone_out(
    strategy: KeystoneStrategy, keystone: FalseKeystone, clock: MovableClock
) -> None:
    usual = keystone.login
    keystone.login = answer(500, b"")
    clock.advance(s=3600)
    assert await _outcome(strategy) is falcon.HTTPServiceUnavailable
    keystone.login = usual
    clock._now_ms -= 3_600_000  # noqa: SLF001
    assert (await strategy.identify(request("t"))).project == "p1"
