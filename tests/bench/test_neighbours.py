"""What the comparisons of neighbours and of credentials say of their windows."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from bench import authentication, credentials, neighbours
from bench.client import LoadFailed
from bench.http import run
from bench.options import parser
from bench.requests import Requests
from queues.config import load


def _window(p99_ms: float, **others: float) -> dict[str, Any]:
    return {
        "latency": {"p50_ms": p99_ms / 2, "p99_ms": p99_ms},
        "own_lag": {"p99_ms": 0.1},
        "others_busy": 0.0,
        "server_busy": 0.5,
        "noisy_offered_per_s": 0.0,
        "noisy_admitted_per_s": 0.0,
        "noisy_refused_per_s": 0.0,
        **others,
    }


def test_a_noisy_neighbour_is_told_by_the_medians_of_the_windows() -> None:
    found = neighbours.compared(
        {
            "alone": [_window(2), _window(1), _window(50)],
            "limited": [_window(3), _window(90), _window(2, own_lag={"p99_ms": 7})],
            "unlimited": [_window(8), _window(8), _window(8, others_busy=1.5)],
        }
    )
    assert (found["limited_p99_times"], found["unlimited_p99_times"]) == (1.5, 4)
    assert (found["own_lag_p99_ms"], found["others_busy"]) == (7, 1.5)


def test_a_neighbour_offers_a_hundred_times_its_rate() -> None:
    flags = parser().parse_args(["neighbours"])
    assert (flags.share, flags.times, flags.rate) == (20, 100, 200)
    windows = neighbours.windows(flags)
    assert {name: noisy.per_s for name, noisy in windows.items()} == {
        "alone": 0,
        "limited": 2000,
        "crowd": 2000,
        "unlimited": 2000,
    }


async def test_noise_is_made_on_schedule_and_told_by_what_was_answered() -> None:
    ended = asyncio.Semaphore(0)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"}]}")
                writer.write(b"HTTP/1.1 429 -\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        ended.release()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    host = "{}:{}".format(*server.sockets[0].getsockname())
    noisy = neighbours.Noisy("p1", 500, 2)
    async with server:
        with neighbours.noise(host, noisy) as end:
            await asyncio.sleep(1)
            heard, passed_s = await asyncio.to_thread(end)
        for _ in range(noisy.connections):
            await ended.acquire()
    assert heard["due"] == pytest.approx(500 * passed_s, abs=1)
    assert 0 < heard["answers"]["429"] <= heard["due"]


def test_credentials_are_compared_turn_by_turn() -> None:
    def window(per_s: float, cpu_us: float) -> dict[str, Any]:
        return {"per_s": per_s, "server_cpu_us_per_request": cpu_us, "others_busy": 0.0}

    without = [window(1000, 100), window(500, 200), window(800, 100)]
    found = [window(900, 110), window(450, 220), window(400, 400)]
    compared = authentication.compared(found, without)
    assert (compared["times"], compared["cpu_times"]) == (0.9, 1.1)


@pytest.mark.parametrize("kind", credentials.KINDS)
def test_the_settings_for_a_credential_are_settings_of_a_server(
    kind: str, tmp_path: Path
) -> None:
    settings = load({}, credentials.settings(kind, tmp_path))
    assert settings.auth_strategy == ("jwt" if kind == "jwt" else "none")
    assert bool(settings.keys_file) == (kind == "token")


def test_a_token_goes_with_every_request() -> None:
    headers = credentials.headers("jwt", "nowhere")
    request = Requests("h", headers=headers).post("q", 1, 10)
    assert headers.startswith("Authorization: Bearer ")
    assert headers.encode() in request.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert not credentials.headers("none", "nowhere")


def test_credentials_need_a_server_of_ones_own() -> None:
    flags: argparse.Namespace = parser().parse_args(
        ["http", "--url", "http://127.0.0.1:1", "--auth", "jwt", "--workload", "get"]
    )
    with pytest.raises(LoadFailed, match="--start"):
        run(flags)
