"""Whoever is too fast waits for the refusal, and nobody else does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transport.live import LiveServer, RawConnection
from transport import errors, exchange
from transport.errors import REFUSAL_PAUSE_S

PATH = "/v2/queues"


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[LiveServer]:
    """A server with one request for each project in a long time; p1 has had its own."""
    server = LiveServer(tmp_path / "nusku.db", rate_requests_per_s=0.01)
    server.start()
    with RawConnection(server.address) as raw:
        raw.send_head("GET", PATH)
        assert raw.answer()[0] == 200
    yield server
    server.stop()


def answered(raw: RawConnection) -> tuple[int, float]:
    """Return the status of the next answer, and how long it took."""
    begin_s = time.monotonic()
    status = raw.answer()[0]
    return status, time.monotonic() - begin_s


def until_one_waits() -> None:
    """Wait until the server holds one refusal back."""
    deadline_s = time.monotonic() + 10
    while exchange.paused() != 1:
        assert time.monotonic() < deadline_s, "no refusal is held back"
        time.sleep(0.005)


def test_a_refusal_of_who_is_too_fast_comes_after_a_pause(limited: LiveServer) -> None:
    with RawConnection(limited.address) as raw:
        for _ in range(2):
            raw.send_head("GET", PATH)
            status, took_s = answered(raw)
            assert status == 429
            assert REFUSAL_PAUSE_S * 0.9 < took_s < REFUSAL_PAUSE_S + 1


def test_requests_that_were_sent_ahead_wait_for_one_another(limited: LiveServer) -> None:
    begin_s = time.monotonic()
    with RawConnection(limited.address) as raw:
        for _ in range(3):
            raw.send_head("GET", PATH)
        assert [raw.answer()[0] for _ in range(3)] == [429] * 3
    assert time.monotonic() - begin_s > 3 * REFUSAL_PAUSE_S * 0.9


def test_nobody_else_waits(limited: LiveServer) -> None:
    with RawConnection(limited.address) as noisy, RawConnection(limited.address) as quiet:
        noisy.send_head("GET", PATH)
        begin_s = time.monotonic()
        quiet.send_head("GET", PATH, x_project_id="quiet")
        assert quiet.answer()[0] == 200
        assert noisy.answer()[0] == 429
        assert time.monotonic() - begin_s > REFUSAL_PAUSE_S * 0.5, "the refusal came last"


def test_only_so_many_refusals_wait_and_the_others_leave_at_once(
    limited: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "MAX_PAUSED", 1)
    with RawConnection(limited.address) as first, RawConnection(limited.address) as second:
        first.send_head("GET", PATH)
        until_one_waits()
        second.send_head("GET", PATH)
        status, took_s = answered(second)
        assert (status, took_s < REFUSAL_PAUSE_S) == (429, True)
        assert answered(first)[0] == 429


def test_a_client_that_goes_leaves_its_place_to_the_next_one(
    limited: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the test, so that the place does not become free by itself.
    monkeypatch.setattr(errors, "REFUSAL_PAUSE_S", 60)
    with RawConnection(limited.address) as raw:
        raw.send_head("GET", PATH)
        until_one_waits()
        # NOTE: whoever only says that nothing more will come may still be listening.
        raw.reset()
    deadline_s = time.monotonic() + 10
    while exchange.paused():
        assert time.monotonic() < deadline_s, "nobody noticed that the client is gone"
        time.sleep(0.01)


def test_a_refusal_waits_without_the_body_of_its_request(limited: LiveServer) -> None:
    with RawConnection(limited.address) as raw:
        raw.send_head("PUT", f"{PATH}/q", content_length=str(10_000_000))
        for _ in range(10):
            raw.send(b" " * 1_000_000)
        assert answered(raw)[0] == 429
        raw.send_head("GET", PATH)
        assert answered(raw)[0] == 429, "the body was passed over"


def test_a_server_that_stops_does_not_wait_for_refusals(limited: LiveServer) -> None:
    with RawConnection(limited.address) as raw:
        raw.send_head("GET", PATH)
        until_one_waits()
        begin_s = time.monotonic()
        limited.stop()
        assert time.monotonic() - begin_s < REFUSAL_PAUSE_S + 2
        assert raw.answer()[0] == 429, "and what was asked before is answered"
