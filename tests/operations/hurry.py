"""An event loop in which time passes as soon as there is nothing else to do."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _Selector(selectors.DefaultSelector):
    """Whatever would be waited for is over at once, and is added to `passed_s`."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everybody waits, and nothing will ever happen"
        events = super().select(0)
        if not events:
            self.passed_s += max(0.0, timeout)
        return events


class HurriedLoop(asyncio.SelectorEventLoop):
    """Waits for nothing, and is its own clock."""

    def __init__(self) -> None:
        self._hurried = _Selector()
        super().__init__(self._hurried)

    def time(self) -> float:
        return self._hurried.passed_s

    def now_ms(self) -> int:
        """Return the time in milliseconds, some years after the epoch."""
        return 1_700_000_000_000 + round(self.time() * 1000)


def in_no_time(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Run a test in such a loop: a minute of waiting takes no time."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=HurriedLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


class LoopClock:
    """The clock of the loop that runs."""

    def now_ms(self) -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HurriedLoop)
        return loop.now_ms()


async def settled() -> None:
    """Let everybody go on who can without the passing of time."""
    for _ in range(50):
        await asyncio.sleep(0)
