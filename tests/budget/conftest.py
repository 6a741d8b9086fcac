"""Counts once for all tests; says at the end what became cheaper."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bench.budget.record import AGAIN, Count, Recorded, compared, count, load

_GAINS = pytest.StashKey[list[Count]]()


@pytest.fixture(scope="session")
def recorded() -> Mapping[str, object]:
    return load()


@pytest.fixture(scope="session")
def found(request: pytest.FixtureRequest, recorded: Mapping[str, object]) -> Recorded:
    counted = count()
    gains = [one for one in compared(recorded, counted) if one.is_gain]
    request.config.stash[_GAINS] = gains
    return counted


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    gains = config.stash.get(_GAINS, [])
    for one in gains:
        terminalreporter.write_line(f"cheaper than recorded: {one}", yellow=True)
    if gains:
        terminalreporter.write_line(f"keep what was gained: {AGAIN}", yellow=True)
