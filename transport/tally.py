"""How many connections each worker has, in memory that all of them share."""

from __future__ import annotations

import math
import mmap

#: Of more workers, some share a slot, which only makes their parts less even.
_SLOTS = 64

#: Of whoever has said nothing for so long nothing is expected: it hangs, or is gone.
_SILENT_S = 1.0

_ITEM_BYTES = 8


class Tally:
    """To be made by the master process, before it forks."""

    def __init__(self) -> None:
        """Begin with nobody."""
        shared = mmap.mmap(-1, 2 * _SLOTS * _ITEM_BYTES)
        numbers = memoryview(shared).cast("d")
        self._connections, self._said_s = numbers[:_SLOTS], numbers[_SLOTS:]

    def share(self, number: int) -> Share:
        """Return what the worker of that number says and may know."""
        return Share(self._connections, self._said_s, number % _SLOTS)


class Share:
    """One worker's part.

    NOTE: nothing is locked. Who reads an old number accepts a connection too many.
    """

    def __init__(
        self, connections: memoryview[float], said_s: memoryview[float], slot: int
    ) -> None:
        self._connections = connections
        self._said_s = said_s
        self._slot = slot

    def say(self, connections: float, now_s: float) -> None:
        """Say how many connections this worker has. It counts for a second."""
        self._connections[self._slot] = connections
        self._said_s[self._slot] = now_s

    def leave(self) -> None:
        """Let nobody expect this worker to accept anything more."""
        self._connections[self._slot] = math.inf

    def is_above_another(self, now_s: float) -> bool:
        """Say whether another worker, which is alive, has fewer connections."""
        mine, since_s = self._connections[self._slot], now_s - _SILENT_S
        return any(
            theirs < mine and said_s >= since_s
            for theirs, said_s in zip(self._connections, self._said_s, strict=True)
        )
