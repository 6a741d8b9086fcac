"""Sending at a rate: on schedule, and honest about stalls."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from bench.client import LoadFailed
from bench.fill import connect
from bench.loops import OpenLoop, closed_loop, intended
from bench.session import Session
from bench.window import Window
from bench.workloads import Script

_REQUEST = b"GET / HTTP/1.1\r\n\r\n"
_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
_STALL_S = 0.3
_RATE = 200


class StallingServer:
    """Answers at once, but for one answer after a pause, and for the end of a connection."""

    def __init__(self) -> None:
        self.host = ""
        self.stalls_at = -1
        self.closes_at = -1
        self._numbers = itertools.count()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(len(_REQUEST)):
            number = next(self._numbers)
            if number == self.stalls_at:
                await asyncio.sleep(_STALL_S)
            if number == self.closes_at:
                break
            writer.write(_ANSWER)
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[StallingServer]:
    stalling = StallingServer()
    async with await asyncio.start_server(stalling.serve, "127.0.0.1", 0) as listening:
        stalling.host = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield stalling


def _script(count: int = -1) -> Script:
    for _ in itertools.islice(itertools.count(), None if count < 0 else count):
        yield _REQUEST


async def _session(server: StallingServer, script: Script, steps: int = 1) -> Session:
    return Session(await connect(server.host), script, steps)


def _window(duration_s: float) -> Window[None]:
    return Window(lambda: None, warmup_s=0, duration_s=duration_s)


def test_the_schedule_does_not_drift() -> None:
    moments = list(itertools.islice(intended(100.0, 3), 3001))
    assert moments[0] == 100.0
    assert moments[3000] == pytest.approx(1100.0, abs=1e-9)
    assert moments == sorted(moments)


async def test_a_stall_counts_for_all_who_would_have_come_meanwhile(
    server: StallingServer,
) -> None:
    server.stalls_at = 10
    session = await _session(server, _script())
    loop = OpenLoop([session], _window(0.5), _RATE)
    measured = await loop.run()
    session.client.close()
    late = [seconds for seconds in measured.latencies if seconds > _STALL_S / 3]
    assert len(late) >= _RATE * _STALL_S / 2
    assert loop.longest_line >= _RATE * _STALL_S / 2


async def test_what_is_under_way_at_the_end_is_counted(server: StallingServer) -> None:
    server.stalls_at = 0
    session = await _session(server, _script())
    measured = await OpenLoop([session], _window(_STALL_S / 2), _RATE).run()
    session.client.close()
    assert measured.operations == 0
    assert len(measured.latencies) >= 1
    assert max(measured.latencies) >= _STALL_S / 2


async def test_an_operation_of_several_requests_counts_once(server: StallingServer) -> None:
    session = await _session(server, _script(150), steps=3)
    measured = await closed_loop([session], _window(60))
    session.client.close()
    assert measured.ran_dry
    assert 40 <= measured.operations <= 50


async def test_a_script_that_ends_ends_the_measurement(server: StallingServer) -> None:
    sessions = [await _session(server, _script(5)) for _ in range(3)]
    measured = await closed_loop(sessions, _window(60))
    for session in sessions:
        session.client.close()
    assert measured.ran_dry
    assert measured.operations <= 15


async def test_a_lost_connection_fails_the_measurement(server: StallingServer) -> None:
    server.closes_at = 5
    session = await _session(server, _script())
    with pytest.raises(LoadFailed, match="closed a connection"):
        await closed_loop([session], _window(60))


async def test_an_unexpected_answer_fails_the_measurement(server: StallingServer) -> None:
    def script() -> Script:
        yield _REQUEST
        raise LoadFailed("not what was wanted")

    session = await _session(server, script())
    with pytest.raises(LoadFailed, match="not what was wanted"):
        await closed_loop([session], _window(60))
    session.client.close()
