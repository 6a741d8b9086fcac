"""Asking once what many want to know at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Runs one coroutine for each key at a time; who comes later shares its result."""

    def __init__(self) -> None:
        """Start with nothing under way."""
        self._running: dict[K, asyncio.Task[V]] = {}

    async def join(self, key: K, start: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Return the result for the key, or raise its error; `start` it if nobody has.

        Who gives up waiting does not stop it for the others.
        """
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(start())
            self._running[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)

    def _land(self, key: K, task: asyncio.Task[V]) -> None:
        del self._running[key]
        if not task.cancelled():
            # NOTE: marks the error as seen, for the case that everybody gave up waiting.
            task.exception()
