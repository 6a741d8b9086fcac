"""Whole requests through the application, without a socket and with a store that is instant.

What is left is our share of a request and Falcon's, from the scope to the last `send`.
"""

from __future__ import annotations

import pytest
import uvloop
from pytest_benchmark.fixture import BenchmarkFixture

from bench.pieces.inprocess import BARE, CASES, requests

#: Requests that one round makes, one after the other.
_REQUESTS = 100

pytestmark = pytest.mark.benchmark(group="application, 100 requests")


@pytest.mark.parametrize("case", [*CASES, *BARE])
def test_request(benchmark: BenchmarkFixture, loop: uvloop.Loop, case: str) -> None:
    request = requests()[case]

    async def several() -> None:
        for _ in range(_REQUESTS):
            await request()

    def run() -> None:
        loop.run_until_complete(several())

    benchmark.pedantic(run, rounds=50, warmup_rounds=5)
