"""Each driver on the contract. A round is 32 calls at once; divide by that for one call.

NOTE: the MongoDB driver runs on nx-27017 unless `NUSKU_TEST_MONGODB_URL` names a real one; its
figures then say nothing about MongoDB.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.pieces.driven import AT_ONCE, Driven

_ROUNDS = 20

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.benchmark(group="drivers, 32 calls at once"),
]


@pytest.mark.parametrize("count", [1, 10])
def test_post(benchmark: BenchmarkFixture, driven: Driven, count: int) -> None:
    answers = benchmark.pedantic(
        driven.at_once, (lambda: driven.post(count),), rounds=_ROUNDS, warmup_rounds=3
    )
    assert all(len(seqs) == count for seqs in answers)


def test_claim_10(benchmark: BenchmarkFixture, driven: Driven) -> None:
    def setup() -> None:
        driven.fill(10 * AT_ONCE)

    def claims() -> int:
        return sum(len(claim.messages) for claim in driven.at_once(lambda: driven.claim(10)))

    claimed = benchmark.pedantic(claims, setup=setup, rounds=_ROUNDS, warmup_rounds=3)
    assert claimed == 10 * AT_ONCE


def test_list_10(benchmark: BenchmarkFixture, driven: Driven) -> None:
    driven.fill(100)
    pages = benchmark.pedantic(
        driven.at_once, (lambda: driven.list(10),), rounds=_ROUNDS, warmup_rounds=3
    )
    assert all(len(page.messages) == 10 for page in pages)


def test_delete(benchmark: BenchmarkFixture, driven: Driven) -> None:
    waiting: list[int] = []

    def setup() -> None:
        waiting.extend(driven.fill(AT_ONCE))

    answers = benchmark.pedantic(
        driven.at_once,
        (lambda: driven.delete(waiting.pop()),),
        setup=setup,
        rounds=_ROUNDS,
        warmup_rounds=3,
    )
    assert answers == [{}] * AT_ONCE
    assert not waiting
