"""Requests to receivers: what goes out, where it goes, and how badly a receiver may behave."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from queues import destinations
from queues.operations.agenda import ERRANDS_OF_A_PROJECT
from queues.retries import Outcome, Verdict, verdict
from tests.clock import MovableClock
from tests.identity.certificate import server_context
from tests.transport.receiver import (
    OK,
    drips,
    floods,
    hangs,
    hangs_up,
    receiving,
    says,
    status,
)
from transport.outgoing import connecting
from transport.outgoing.webhooks import Webhooks

BODY = b'{"body": 1}'
LOOPBACK = "127.0.0.0/8, ::1/128"
TIMEOUT_S = 0.5


@pytest.fixture
async def webhooks(clock: MovableClock) -> AsyncIterator[Webhooks]:
    """What may write to this machine, too."""
    made = Webhooks(destinations.parse(LOOPBACK), clock, timeout_s=TIMEOUT_S)
    yield made
    await made.close()


@pytest.fixture
async def guarded(clock: MovableClock) -> AsyncIterator[Webhooks]:
    """What may write to public addresses only."""
    made = Webhooks(destinations.parse(""), clock, timeout_s=TIMEOUT_S)
    yield made
    await made.close()


async def test_a_request_arrives_as_it_was_given(webhooks: Webhooks) -> None:
    async with receiving(says(OK)) as receiver:
        headers = {"Content-Type": "application/json", "X-Mine": "a b"}
        outcome = await webhooks.post(receiver.url(path="/hook?a=b%20c"), headers, BODY)
    assert outcome == Outcome(200)
    (request,) = receiver.received
    assert (request.method, request.path, request.body) == ("POST", "/hook?a=b%20c", BODY)
    assert request.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "content-type": "application/json",
        "x-mine": "a b",
        "user-agent": "nusku",
        "content-length": str(len(BODY)),
    }


async def test_a_connection_is_used_again(webhooks: Webhooks) -> None:
    async with receiving(says(OK)) as receiver:
        for _ in range(3):
            assert (await webhooks.post(receiver.url(), {}, BODY)).status == 200
        assert receiver.connections == 1


async def test_a_connection_that_was_closed_meanwhile_is_replaced(webhooks: Webhooks) -> None:
    async with receiving(status(200, Connection="close")) as receiver:
        for _ in range(3):
            assert (await webhooks.post(receiver.url(), {}, BODY)).status == 200
        assert receiver.connections == 3


@pytest.mark.parametrize("code", [204, 301, 400, 404, 410, 429, 500, 503])
async def test_the_status_is_what_the_receiver_says(webhooks: Webhooks, code: int) -> None:
    async with receiving(status(code)) as receiver:
        assert await webhooks.post(receiver.url(), {}, BODY) == Outcome(code)


async def test_a_redirect_is_not_followed(webhooks: Webhooks) -> None:
    async with (
        receiving(says(OK)) as secret,
        receiving(status(307, Location=secret.url())) as receiver,
    ):
        outcome = await webhooks.post(receiver.url(), {}, BODY)
    assert outcome.status == 307
    assert secret.received == []
    assert verdict(outcome) is Verdict.REFUSED


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        ("soon", None),
        ("-1", None),
        ("1e9", None),
        ("\u00b2", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2030 99999999999999999999:00:00 GMT", None),
    ],
)
async def test_a_receiver_may_ask_for_patience(
    webhooks: Webhooks, text: str, seconds: float | None
) -> None:
    async with receiving(status(503, Retry_After=text)) as receiver:
        outcome = await webhooks.post(receiver.url(), {}, BODY)
    assert outcome == Outcome(503, retry_after_s=seconds)


async def test_patience_may_end_at_a_date(webhooks: Webhooks, clock: MovableClock) -> None:
    date = formatdate(clock.now_ms() / 1000 + 90, usegmt=True)
    async with receiving(status(503, Retry_After=date)) as receiver:
        outcome = await webhooks.post(receiver.url(), {}, BODY)
    assert outcome.retry_after_s == pytest.approx(90, abs=1)


@pytest.mark.parametrize("behaviour", [hangs, drips], ids=["hangs", "drips"])
async def test_a_receiver_has_so_much_time_for_all_of_it(
    webhooks: Webhooks, behaviour: Any
) -> None:
    async with receiving(behaviour) as receiver, asyncio.timeout(10 * TIMEOUT_S):
        outcome = await webhooks.post(receiver.url(), {}, BODY)
    assert outcome == Outcome(None, "no answer within 0.5 s")
    assert verdict(outcome) is Verdict.RETRY


async def test_no_more_is_read_of_an_answer_than_it_takes(webhooks: Webhooks) -> None:
    async with receiving(floods) as receiver, asyncio.timeout(10):
        assert (await webhooks.post(receiver.url(), {}, BODY)).status == 200


@pytest.mark.parametrize(
    "behaviour",
    [
        hangs_up,
        says(b"nonsense\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
    ],
)
async def test_whatever_is_no_answer_is_tried_again(webhooks: Webhooks, behaviour: Any) -> None:
    async with receiving(behaviour) as receiver:
        outcome = await webhooks.post(receiver.url(), {}, BODY)
    assert outcome.status is None
    assert outcome.error
    assert verdict(outcome) is Verdict.RETRY


async def test_a_port_where_nobody_listens_is_tried_again(webhooks: Webhooks) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    outcome = await webhooks.post(f"http://127.0.0.1:{port}/", {}, BODY)
    assert outcome.error.startswith("no connection")
    assert verdict(outcome) is Verdict.RETRY


async def test_a_name_that_leads_nowhere_is_tried_again(
    webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    _resolve_to(monkeypatch, {})
    outcome = await webhooks.post("http://receiver.example/", {}, BODY)
    assert outcome == Outcome(None, "the name of the host cannot be resolved")


#: Ways to write an address of this machine; and what must never be written to.
_OURS = ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0.0.0.0")


@pytest.mark.parametrize("host", _OURS)
async def test_this_machine_is_not_written_to_however_it_is_called(
    guarded: Webhooks, host: str
) -> None:
    async with receiving(says(OK)) as receiver:
        outcome = await guarded.post(receiver.url(host), {}, BODY)
        assert receiver.connections == 0
    assert outcome.status is None
    assert "127" not in outcome.error.replace(host, "")


def _resolve_to(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> list[str]:
    """Let names stand for addresses, and return what was asked."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *args: Any, **options: Any) -> Any:
        if host[0].isdigit() or ":" in host:
            return real(host, port, *args, **options)
        asked.append(host)
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        kinds = {True: socket.AF_INET6, False: socket.AF_INET}
        return [
            (kinds[":" in address], socket.SOCK_STREAM, 6, "", (address, port))
            for address in names[host]
        ]

    monkeypatch.setattr(connecting.socket, "getaddrinfo", resolve)
    return asked


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.7", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1"],
)
async def test_a_name_is_judged_by_what_it_stands_for(
    guarded: Webhooks, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    _resolve_to(monkeypatch, {"receiver.example": [address]})
    async with receiving(says(OK)) as receiver:
        outcome = await guarded.post(receiver.url("receiver.example"), {}, BODY)
        assert receiver.connections == 0
    assert outcome == Outcome(None, "the host has no address that may be written to")
    assert verdict(outcome) is Verdict.RETRY


async def test_what_was_looked_at_is_what_is_connected_to(
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhooks = Webhooks(destinations.parse("127.0.0.1/32"), clock, timeout_s=TIMEOUT_S)
    names = {"receiver.example": ["127.0.0.1"]}
    asked = _resolve_to(monkeypatch, names)
    async with receiving(says(OK)) as receiver:
        outcome = await webhooks.post(receiver.url("receiver.example"), {}, BODY)
    assert outcome.status == 200
    assert asked == ["receiver.example"]
    assert receiver.received[0].headers["host"] == f"receiver.example:{receiver.port}"
    await webhooks.close()


async def test_of_several_addresses_only_allowed_ones_are_used(
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhooks = Webhooks(destinations.parse("127.0.0.1/32"), clock, timeout_s=TIMEOUT_S)
    _resolve_to(monkeypatch, {"receiver.example": ["10.0.0.1", "127.0.0.2", "127.0.0.1"]})
    async with receiving(says(OK)) as receiver:
        outcome = await webhooks.post(receiver.url("receiver.example"), {}, BODY)
    assert outcome.status == 200
    await webhooks.close()


async def test_a_host_that_is_allowed_may_be_anywhere(
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhooks = Webhooks(destinations.parse("Receiver.Example"), clock, timeout_s=TIMEOUT_S)
    _resolve_to(
        monkeypatch,
        {"receiver.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]},
    )
    async with receiving(says(OK)) as receiver:
        allowed = await webhooks.post(receiver.url("receiver.example"), {}, BODY)
        other = await webhooks.post(receiver.url("other.example"), {}, BODY)
    assert (allowed.status, other.status) == (200, None)
    await webhooks.close()


async def test_a_certificate_has_to_be_that_of_the_host(
    clock: MovableClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tls = server_context(tmp_path / "server.pem", "receiver.example")
    _resolve_to(monkeypatch, {name: ["127.0.0.1"] for name in ("receiver.example", "other")})
    unknown = Webhooks(destinations.parse(LOOPBACK), clock, timeout_s=TIMEOUT_S)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    known = Webhooks(destinations.parse(LOOPBACK), clock, timeout_s=TIMEOUT_S)
    async with receiving(says(OK), tls=tls) as receiver:
        url = receiver.url("receiver.example", scheme="https")
        assert (await known.post(url, {}, BODY)).status == 200
        for refused in (
            await unknown.post(url, {}, BODY),
            await known.post(receiver.url("other", scheme="https"), {}, BODY),
        ):
            assert refused.status is None
            assert "certificate" in refused.error
    assert len(receiver.received) == 1
    for one in (unknown, known):
        await one.close()


async def test_proxies_of_the_environment_are_not_used(
    webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving(says(OK)) as proxy, receiving(says(OK)) as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(path=""))
        await webhooks.post(receiver.url(), {}, BODY)
    assert (len(receiver.received), proxy.connections) == (1, 0)


async def test_a_name_that_takes_long_to_resolve_holds_up_no_other(
    webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *args: Any, **options: Any) -> Any:
        if host.startswith("slow"):
            release.wait(10)
        return real("127.0.0.1", port, *args, **options)

    monkeypatch.setattr(connecting.socket, "getaddrinfo", resolve)
    async with receiving(says(OK)) as receiver:
        slow = [
            webhooks.post(receiver.url(f"slow{n}.example"), {}, BODY)
            for n in range(2 * ERRANDS_OF_A_PROJECT)
        ]
        given_up = await asyncio.gather(*slow)
        assert {one.error for one in given_up} == {"no answer within 0.5 s"}
        outcome = await webhooks.post(receiver.url("quick.example"), {}, BODY)
        assert outcome.status == 200
        release.set()
