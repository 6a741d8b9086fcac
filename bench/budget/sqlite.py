"""What SQLite does for a call: statements, steps of its virtual machine, and commits."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from bench.budget.calls import TOGETHER, Call, bytecodes, calls, driven
from bench.budget.interpreter import Bytecodes, Counts, least
from bench.client import LoadFailed
from bench.pieces.driven import Driven

#: So long until a writer waits for its lock, at the most.
_PLUGGED_S = 10.0

#: What threads and event loops do while they wait for one another is not the same each time.
_WAITING = (
    str(Path(asyncio.__file__).parent),
    str(Path(concurrent.futures.__file__).parent),
    threading.__file__,
)

#: A thread of readers may open its connection in one of them.
_REPEATS = 3

#: Calls that write share a commit; those that only read do not.
_WRITES = ("delete", "claim-10", "post-1", "post-10")


class _Counted(sqlite3.Connection):
    """A connection that counts what it does."""

    seen: ClassVar[Counter[str]] = Counter()
    begun: ClassVar[threading.Event] = threading.Event()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.set_trace_callback(self._statement)
        self.set_progress_handler(self._step, 1)

    def _statement(self, text: str) -> None:
        # What a trigger does is told as a comment; its steps count.
        if not text.startswith("--"):
            self.seen["statements"] += 1
        if text.startswith("COMMIT"):
            self.seen["commits"] += 1
        if text.startswith("BEGIN IMMEDIATE"):
            self.begun.set()

    def _step(self) -> int:
        self.seen["steps"] += 1
        return 0


def sqlite_counts() -> dict[str, dict[str, float]]:
    """Return what each call costs alone, and what it costs among others in one commit."""
    found: dict[str, dict[str, float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="nusku-budget-") as folder,
        mock.patch.object(sqlite3, "connect", _connect(sqlite3.connect)),
    ):
        file = Path(folder) / "budget.db"
        with driven(f"sqlite:///{file}") as store:
            for name, call in calls(store).items():
                store.at_once(call, TOGETHER)
                alone = least([_alone(store, call) for _ in range(_REPEATS)])
                found[name] = dict(alone)
                if name in _WRITES:
                    found[_several(name)] = _together(store, call, alone, file)
        for name, count in _bytecodes(Path(folder) / "other.db").items():
            found[name]["bytecodes"] = count
    return found


def _several(name: str) -> str:
    return f"{name}, {TOGETHER} at once"


def _bytecodes(file: Path) -> dict[str, float]:
    """Return the bytecodes of each call, in a store of its own: counting them is slow."""
    counter = Bytecodes(_WAITING)
    found: dict[str, float] = {}
    with counter.everywhere(), driven(f"sqlite:///{file}") as store:
        for name, call in calls(store).items():
            store.at_once(call, TOGETHER)
            found[name] = bytecodes(counter, partial(store.once, call))
            if name in _WRITES:
                several = bytecodes(counter, partial(_plug, store, call, file), 5)
                found[_several(name)] = round((several - found[name]) / TOGETHER, 1)
    return found


def _connect(connect: Any) -> Any:
    def connected(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(*args, factory=_Counted, **kwargs)
        return made

    return connected


def _alone(store: Driven, call: Call) -> Counts:
    _Counted.seen.clear()
    store.once(call)
    return _seen()


def _seen() -> Counts:
    return {name: _Counted.seen[name] for name in ("statements", "steps", "commits")}


def _together(store: Driven, call: Call, alone: Counts, file: Path) -> dict[str, float]:
    """Return the cost of each of `TOGETHER` calls that share a commit, without the plug's."""
    _Counted.seen.clear()
    _plug(store, call, file)
    shared = {name: count - alone[name] for name, count in _seen().items()}
    each = {name: round(count / TOGETHER, 2) for name, count in shared.items()}
    return {**each, "commits": shared["commits"]}


def _plug(store: Driven, call: Call, file: Path) -> None:
    """Hold up one call, the plug, so that those behind it form one batch."""

    async def plugged() -> None:
        with _locked(file) as lock:
            plug = asyncio.ensure_future(call())
            if not await asyncio.to_thread(_Counted.begun.wait, _PLUGGED_S):
                raise LoadFailed("no writer waits for the lock")
            waiting = [asyncio.ensure_future(call()) for _ in range(TOGETHER)]
            for _ in range(10):
                await asyncio.sleep(0)
            lock.rollback()
            await asyncio.gather(plug, *waiting)

    _Counted.begun.clear()
    store.once(plugged)


@contextmanager
def _locked(file: Path) -> Iterator[sqlite3.Connection]:
    """Hold the lock for writing, so that what is to be written waits and forms one batch."""
    with closing(sqlite3.Connection(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
