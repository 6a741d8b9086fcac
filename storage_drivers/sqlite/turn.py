"""Turns: the writers of several processes wait in line instead of polling for the lock."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType


def turn_path(database: Path) -> Path:
    """Return the file that the processes on a database lock in turn."""
    return database.with_name(f"{database.name}-turn")


class Turn:
    """A lock that the kernel hands to the next process as soon as it is free.

    PERF: SQLite polls for its lock with growing pauses, so that the busiest process keeps it
    and the others wait for up to seconds (bench: posts of several workers).

    NOTE: SQLite copies its log into the file as the last step of some commits, so no two
    writers do that at once: releases before 3.51.3 could damage a file when a commit and two
    such copies met in a bad moment (sqlite.org/wal.html, "The WAL-reset bug").

    The wait has no limit of its own: the lane answers its callers in time. A process that
    dies gives its turn back.
    """

    def __init__(self, database: Path) -> None:
        self._path = turn_path(database)
        self._file: int | None = None

    def __enter__(self) -> None:
        """Wait for the turn. Raises: OSError."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        ex: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the turn to the next in line."""
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
