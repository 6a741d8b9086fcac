"""Changing one thing together, for many who want to change it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")


class Combining(Generic[K, T, R]):
    """Collects wishes about a thing while it is being changed, and grants them together.

    Of this process, one change at a time goes on for each key. A thousand who come at once
    cost two changes and not a thousand, each of which would be overtaken by others.
    """

    def __init__(self, change: Callable[[K, Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        """Let `change` grant wishes about one key, with a result for each, in their order."""
        self._change = change
        self._waiting: dict[K, list[tuple[T, asyncio.Future[R]]]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def ask(self, key: K, wish: T) -> R:
        """Return the result for `wish`, or raise what the change raised for all.

        Who stops waiting does not stop the change.
        """
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        if key in self._waiting:
            self._waiting[key].append((wish, result))
        else:
            self._waiting[key] = [(wish, result)]
            task = asyncio.create_task(self._serve(key))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await result

    async def _serve(self, key: K) -> None:
        while asked := self._waiting[key]:
            self._waiting[key] = []
            await self._grant(key, asked)
        del self._waiting[key]

    async def _grant(self, key: K, asked: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            granted = await self._change(key, [wish for wish, _ in asked])
        except Exception as ex:  # (whatever it is, those who wait are told)
            for _, result in asked:
                if not result.done():
                    result.set_exception(ex)
            return
        for (_, result), value in zip(asked, granted, strict=True):
            if not result.done():
                result.set_result(value)
