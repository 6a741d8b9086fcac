"""What the interpreter does, counted: the same on a fast and on a busy machine."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

Request = Callable[[], Awaitable[None]]
Counts = dict[str, int]

#: Caches, free lists and adaptive bytecodes have settled after so many requests.
_WARMUP = 60

#: The least of so many counts: what came in between, like a new second, only adds.
_REPEATS = 3

#: A thread that counts nothing for so long is at rest.
_REST_S = 0.003

#: What a call of these costs depends on the length of what it is given.
_HEAVY = ("msgspec", "json", "_json", "msgpack", "re", "_hashlib", "_blake2", "_sha2", "zlib")

_BENCH = str(Path(__file__).parent.parent)


class _Memory:
    """Counts bytecodes, and by how many blocks the allocated memory grows over each of them.

    NOTE: what is freed is not taken off: this is how much was allocated, not how much was
    kept. What counting itself allocates falls between two looks.
    """

    def __init__(self) -> None:
        self.bytecodes = 0
        self.blocks = 0
        self._last = sys.getallocatedblocks()

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        self.blocks += max(0, sys.getallocatedblocks() - self._last)
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.bytecodes += 1
        self._last = sys.getallocatedblocks()
        return self


class _Calls:
    """Counts calls of functions, in Python and in C, and those of heavy ones by themselves."""

    def __init__(self) -> None:
        self.calls = 0
        self.heavy_calls = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        self.calls += event in {"call", "c_call"}
        if event == "c_call":
            module = argument.__module__ or type(argument.__self__).__module__
            self.heavy_calls += module.partition(".")[0] in _HEAVY


def counts(request: Request) -> Counts:
    """Return how much one request makes the interpreter do."""
    return asyncio.run(_counts(request))


async def _counts(request: Request) -> Counts:
    for _ in range(_WARMUP):
        await request()
    gc.collect()
    gc.disable()
    try:
        return least([await _once(request) for _ in range(_REPEATS)])
    finally:
        gc.enable()


async def _once(request: Request) -> Counts:
    calls, memory = _Calls(), _Memory()
    sys.setprofile(calls)
    await request()
    sys.setprofile(None)
    _trace(memory)
    await request()
    sys.settrace(None)
    return {
        "bytecodes": memory.bytecodes,
        "blocks": memory.blocks,
        "calls": calls.calls,
        "heavy_calls": calls.heavy_calls,
    }


def _trace(tracer: Callable[[FrameType, str, Any], Any]) -> None:
    """Trace this thread, the functions that are called from now on."""
    # NOTE: Python 3.12 shows bytecodes to a tracer only if they were asked for before.
    sys._getframe().f_trace_opcodes = True  # noqa: SLF001 (documented; no other way)
    sys.settrace(tracer)


def least(found: Sequence[Counts]) -> Counts:
    """Return the least of each count."""
    return {name: min(one[name] for one in found) for name in found[0]}


class Bytecodes:
    """Counts bytecodes in all threads that start inside of `everywhere`.

    Not those of this program, and not those of files that begin with one of `others`.
    """

    def __init__(self, others: Sequence[str] = ()) -> None:
        self._left_out = (_BENCH, *others)
        # NOTE: += loses counts between threads; a step of this is atomic.
        self._ticks = itertools.count()
        self._reads = 0

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Count in this thread and in those that it starts."""
        threading.settrace(self)
        _trace(self)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename.startswith(self._left_out):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            next(self._ticks)
        return self

    def during(self, run: Callable[[], object]) -> int:
        """Return how many there are from `run` until all threads have come to rest."""
        before = self._settled()
        run()
        return self._settled() - before

    def _settled(self) -> int:
        """Wait for threads that still do what follows their answer; return the count."""
        last, now = -1, self._read()
        while now != last:
            time.sleep(_REST_S)
            last, now = now, self._read()
        return now

    def _read(self) -> int:
        self._reads += 1
        return next(self._ticks) - self._reads
