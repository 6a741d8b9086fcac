"""Telling the other processes on a file, and one's own, what was committed.

Everything here happens in the thread that writes, in its turn. So news are told in the order
of their numbers, one at a time, and nobody begins to listen in between.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from queues.model import Topic
from storage_drivers.sqlite.bulletin import Bulletin
from storage_drivers.sqlite.datagram import MOST, digest, pack, wake_directory
from storage_drivers.sqlite.ear import Ear
from storage_drivers.sqlite.errors import unavailable

#: What a socket says whose owner has not read what it was sent.
_FULL = (errno.EAGAIN, errno.ENOBUFS)


class Voice:
    """Tells news: first `announce`, then commit, then `tell`.

    Nothing is sent while nobody listens. What was announced and could not be told, since this
    process died or a listener is slow, the listener finds missing, see ear.py.
    """

    def __init__(self, database: Path, bulletin: Bulletin, ear: Ear) -> None:
        self._bulletin = bulletin
        self._directory = wake_directory(database)
        self._ear = ear
        self._number = 0
        self._ears = 0
        self._socket: socket.socket | None = None
        self._listeners: list[str] = []
        self._unsent: dict[str, tuple[list[int], list[bytes]]] = {}

    def announce(self) -> None:
        """Give the next news a number, and see who will listen. Raises: OSError."""
        self._number, ears = self._bulletin.announce()
        if ears != self._ears:
            self._listeners = self._who_listens()
            self._unsent.clear()
            self._ears = ears

    def tell(self, topics: Collection[Topic], *, here: bool = True) -> None:
        """Tell what was announced; in this process only if `here`."""
        if self._ear.is_open or self._listeners:
            digests = [digest(topic) for topic in topics]
            self._ear.hear_own(self._number, digests if here else ())
            for listener in list(self._listeners):
                self._send(listener, digests)

    def pass_on(self, topics: Collection[Topic]) -> None:
        """Tell the other processes what this one has heard. Raises: StorageUnavailable."""
        try:
            self.announce()
        except OSError as ex:
            raise unavailable(ex) from ex
        self.tell(topics, here=False)

    def close(self) -> None:
        """Free what was opened."""
        self._bulletin.close()
        if self._socket is not None:
            self._socket.close()

    def _who_listens(self) -> list[str]:
        try:
            return [
                os.fspath(path)
                for path in self._directory.iterdir()
                if path.name != self._ear.name
            ]
        except FileNotFoundError:
            return []

    def _send(self, listener: str, topics: Collection[bytes]) -> None:
        """Send what this listener was not sent before, too, or keep it for the next time."""
        numbers, unsent = self._unsent.pop(listener, ([], []))
        numbers.append(self._number)
        unsent += topics
        if len(numbers) + len(unsent) > MOST:
            return
        try:
            self._sender().sendto(pack(numbers, unsent), listener)
        except (ConnectionRefusedError, FileNotFoundError):
            self._listeners.remove(listener)
            with suppress(FileNotFoundError):
                Path(listener).unlink()
        except OSError as ex:
            if ex.errno in _FULL:
                self._unsent[listener] = (numbers, unsent)

    def _sender(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        return self._socket
