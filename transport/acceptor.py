"""Accepting connections so that each worker gets its part of them.

All workers wait at the same listening socket. Whoever is quickest would get nearly all of the
connections that a client opens at once, and serve them alone for as long as they last. So a
worker that has more than another lets it go first, for a moment.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence

from transport.tally import Share

#: For so long a worker with more connections lets others go first.
_COURTESY_S = 0.001

#: No descriptors or no memory: nothing is accepted for so long.
_PAUSE_S = 1.0

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_log = logging.getLogger("nusku.server")


class Acceptor:
    """Accepts connections until closed, one in a turn of the event loop."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        connection: Callable[[], asyncio.Protocol],
        *,
        count: Callable[[], int],
        share: Share,
    ) -> None:
        """Make a `connection` of each; `count` says how many there are."""
        self._loop = asyncio.get_running_loop()
        self._listeners = listeners
        self._connection = connection
        self._count = count
        self._share = share
        self._connecting: set[asyncio.Task[object]] = set()
        self._closed = False
        self.say()
        for listener in listeners:
            listener.setblocking(False)
            self._watch(listener)

    def say(self) -> None:
        """Let others know how many connections there are; to be called every now and then."""
        if not self._closed:
            self._share.say(self._count() + len(self._connecting), self._loop.time())

    def close(self) -> None:
        """Accept nothing more. The listeners stay open."""
        self._closed = True
        self._share.leave()
        for listener in self._listeners:
            self._loop.remove_reader(listener)

    def _watch(self, listener: socket.socket) -> None:
        if not self._closed:
            self._loop.add_reader(listener, self._knocked, listener)

    def _knocked(self, listener: socket.socket) -> None:
        if self._share.is_above_another(self._loop.time()):
            self._loop.remove_reader(listener)
            self._loop.call_later(_COURTESY_S, self._accept_all_the_same, listener)
        else:
            self._accept(listener)

    def _accept_all_the_same(self, listener: socket.socket) -> None:
        if not self._closed:
            self._watch(listener)
            self._accept(listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # Another worker was quicker, or the client is gone.
        except OSError as ex:
            self._pause(listener, ex)
            return
        accepted.setblocking(False)
        task = self._loop.create_task(self._connect(accepted))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        self.say()

    async def _connect(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._connection, accepted)
        except OSError as ex:
            _log.info("a client was gone before it was connected: %s", ex)
            accepted.close()

    def _pause(self, listener: socket.socket, ex: OSError) -> None:
        """Leave the listener alone for a while, and for longer if there is no room."""
        exhausted = ex.errno in _EXHAUSTED
        _log.log(
            logging.ERROR if exhausted else logging.INFO,
            "a connection cannot be accepted now: %s",
            ex.strerror,
        )
        self._loop.remove_reader(listener)
        self._loop.call_later(_PAUSE_S if exhausted else _COURTESY_S, self._watch, listener)
