"""Hearing what any process on the file tells, and noticing what was not told.

News are numbered, see bulletin.py. A number that was announced and not heard by the second
look after it was lost on the way, or its process died: no look needs the store.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from storage_drivers.sqlite.bulletin import Bulletin
from storage_drivers.sqlite.datagram import unpack, wake_directory
from storage_drivers.sqlite.errors import unavailable

_log = logging.getLogger(__name__)

#: One turn of the event loop reads this many datagrams at most.
_DATAGRAMS = 64
_DATAGRAM_BYTES = 65536


class Ear:
    """The socket on which a process hears the others; shut until there is something to hear.

    `hear` is called in the event loop with digests of topics.
    """

    def __init__(
        self, database: Path, bulletin: Bulletin, hear: Callable[[Sequence[bytes]], None]
    ) -> None:
        self.name = os.urandom(8).hex()
        self.is_open = False
        self._loop = asyncio.get_running_loop()
        self._hear = hear
        self._bulletin = bulletin
        self._path = wake_directory(database) / self.name
        self._socket: socket.socket | None = None
        self._own: deque[int] = deque()
        self._heard: set[int] = set()
        self._checked = self._latest = 0

    def open(self) -> None:
        """Hear from now on. In the thread that writes, in its turn.

        Where there can be no socket, all that is noticed is that something was not heard.

        Raises: StorageUnavailable.
        """
        if self.is_open:
            return
        try:
            self._checked = self._latest = self._bulletin.news()
        except OSError as ex:
            raise unavailable(ex) from ex
        self._own.clear()
        self._heard.clear()
        try:
            self._socket = self._bind()
        except OSError as ex:
            _log.warning("storage: other processes are heard once a second only: %s", ex)
        else:
            self._loop.call_soon_threadsafe(self._attach, self._socket)
        self.is_open = True

    def hear_own(self, number: int, topics: Sequence[bytes]) -> None:
        """Hear what this process tells. In the thread that writes, in its turn."""
        if self.is_open:
            self._own.append(number)
            if topics:
                self._loop.call_soon_threadsafe(self._hear, topics)

    def has_missed(self) -> bool:
        """Say whether anything from before the last look was not heard. Raises: OSError."""
        if self._socket is not None:
            self._receive(self._socket)
        while self._own:
            self._heard.add(self._own.popleft())
        is_complete = self._heard.issuperset(range(self._checked + 1, self._latest + 1))
        self._heard = {number for number in self._heard if number > self._latest}
        self._checked, self._latest = self._latest, self._bulletin.news()
        return not is_complete

    def is_in_place(self) -> bool:
        """Say whether others can find the socket, if there can be one."""
        return self._socket is None or self._path.exists()

    def close(self) -> None:
        """Hear nothing more."""
        self.is_open = False
        bound, self._socket = self._socket, None
        if bound is not None:
            self._loop.remove_reader(bound.fileno())
            bound.close()
            self._path.unlink(missing_ok=True)

    def _bind(self) -> socket.socket:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            _remove_dead(self._path.parent)
            bound.bind(os.fspath(self._path))
            self._bulletin.enroll()
        except OSError:
            bound.close()
            raise
        return bound

    def _attach(self, bound: socket.socket) -> None:
        if bound is self._socket:
            self._loop.add_reader(bound.fileno(), self._receive, bound)

    def _receive(self, bound: socket.socket) -> None:
        for _ in range(_DATAGRAMS):
            try:
                datagram = bound.recv(_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            numbers, topics = unpack(datagram)
            self._heard.update(numbers)
            self._hear(topics)


def _remove_dead(directory: Path) -> None:
    """Remove the sockets of processes that died without a word. Raises: OSError."""
    for path in directory.iterdir():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            if probe.connect_ex(os.fspath(path)) == errno.ECONNREFUSED:
                path.unlink(missing_ok=True)
