"""Two numbers that all processes on a file can read without asking the store."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

from storage_drivers.sqlite.turn import turn_path

_NUMBERS = struct.Struct("<QQ")


class Numbers(NamedTuple):
    """What is written down.

    `news` grows by one before each commit, or whatever else, that is worth telling. `ears`
    grows whenever a process begins to listen.
    """

    news: int
    ears: int


class Bulletin:
    """The contents of the file in which writers stand in line, see turn.py.

    Only who has the turn may change them. Every method raises OSError.
    """

    def __init__(self, database: Path) -> None:
        self._path = turn_path(database)
        self._file: int | None = None

    def read(self) -> Numbers:
        """Return the numbers as they are now."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        written = os.pread(self._file, _NUMBERS.size, 0)
        return Numbers(*_NUMBERS.unpack(written.ljust(_NUMBERS.size, b"\0")))

    def announce(self) -> int:
        """Count a piece of news that is about to be told, and return its number."""
        news, ears = self.read()
        self._write(Numbers(news + 1, ears))
        return news + 1

    def enroll(self) -> None:
        """Let those who speak look for listeners again."""
        news, ears = self.read()
        self._write(Numbers(news, ears + 1))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, numbers: Numbers) -> None:
        if self._file is not None:
            os.pwrite(self._file, _NUMBERS.pack(*numbers), 0)
