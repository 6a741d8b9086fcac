"""Measures calls roughly: to tell a constant cost from one that grows, not to compare."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable


async def fastest_ms(call: Callable[[], Awaitable[object]], *, times: int = 10) -> float:
    """Return the time of the fastest of several calls: the one least disturbed by others."""
    fastest = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        await call()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest * 1000
