"""Two numbers that all processes on a file can read without asking the store."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from storage_drivers.sqlite.turn import turn_path

_NUMBERS = struct.Struct("<QQ")


class Bulletin:
    """The contents of the file in which writers stand in line, see turn.py.

    Only who has the turn may change them. Every method raises OSError.
    """

    def __init__(self, database: Path) -> None:
        self._path = turn_path(database)
        self._file: int | None = None

    def news(self) -> int:
        """Return how often something was announced."""
        return self._read()[0]

    def announce(self) -> tuple[int, int]:
        """Count what is about to be committed and told.

        Returns its number, and how often some process began to listen.
        """
        news, ears = self._read()
        self._write(news + 1, ears)
        return news + 1, ears

    def enroll(self) -> None:
        """Count one who listens, so those who speak look for listeners again."""
        news, ears = self._read()
        self._write(news, ears + 1)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _read(self) -> tuple[int, int]:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        written = os.pread(self._file, _NUMBERS.size, 0)
        return _NUMBERS.unpack(written) if len(written) == _NUMBERS.size else (0, 0)

    def _write(self, news: int, ears: int) -> None:
        os.pwrite(self._file, _NUMBERS.pack(news, ears), 0)  # type: ignore[arg-type]
