"""Sends the commands of all requests that one turn of the event loop issued in one write.

PERF: one write and one wake-up serve many requests, and nothing waits for an earlier reply.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from queues.errors import StorageUnavailable
from storage_drivers.redis.errors import unavailable
from storage_drivers.redis.scripts import command
from storage_drivers.redis.wire import Call, Reply, Wire

Connect = Callable[[], Awaitable[Wire]]

#: A connection that was idle for longer is looked at before it is used: no server restarts
#: in less, and under load, when a look would cost, no connection is idle for so long.
IDLE_S = 0.02

_ASKING = command(b"ASKING")


class Pipeline:
    """Batches commands to one server over one connection, in bounded time."""

    def __init__(self, connect: Connect, timeout_s: float) -> None:
        self._connect = connect
        self._timeout_s = timeout_s
        self._waiting: list[Call] = []
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._is_flush_due = False
        self._is_closed = False

    def submit(self, packed: bytes, *, asking: bool = False) -> asyncio.Future[Reply]:
        """Send a command with the others of this turn; the future brings its reply.

        The future fails with StorageUnavailable when no reply came in time: whether the
        command was run is then unknown, and it is not repeated. An error reply is raised as
        redis-py's ResponseError. Cancelling the future harms no other.
        """
        if self._is_closed:
            raise StorageUnavailable("This connection to Redis was closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        since_s = loop.time()
        if asking:
            self._waiting.append((_ASKING, since_s, None))
        self._waiting.append((packed, since_s, future))
        if not self._is_flush_due:
            self._is_flush_due = True
            loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        wire = self._wire
        if wire is not None and wire.is_open and wire.is_idle:
            loop = asyncio.get_running_loop()
            if loop.time() - wire.idle_since_s > IDLE_S:
                # NOTE: one turn later, so that a close which the event loop has not heard of
                # yet is heard of before a command is lost to it.
                wire.idle_since_s = loop.time()
                loop.call_soon(self._flush)
                return
        self._is_flush_due = False
        self._send()

    def _send(self) -> None:
        # NOTE: the others leave for good, or the time to connect would count from theirs.
        live = [call for call in self._waiting if call[2] is None or not call[2].cancelled()]
        self._waiting = live
        if self._wire is None or not self._wire.is_open:
            if live and self._connecting is None:
                self._connecting = asyncio.get_running_loop().create_task(self._open())
        elif live:
            self._waiting = []
            self._wire.send(live)

    async def _open(self) -> None:
        """Connect, and send what came meanwhile, or fail it."""
        failure: Exception = StorageUnavailable("The connection to Redis was closed")
        try:
            async with asyncio.timeout_at(self._waiting[0][1] + self._timeout_s):
                self._wire = await self._connect()
        except (RedisError, OSError, StorageUnavailable) as ex:
            failure = ex
        finally:
            self._connecting = None
            if self._wire is not None and self._wire.is_open:
                self._send()
            else:
                self._fail_waiting(failure)

    def _fail_waiting(self, ex: Exception) -> None:
        """Fail what was not sent: nobody may wait for ever."""
        waiting, self._waiting = self._waiting, []
        for *_, future in waiting:
            if future is not None and not future.done():
                error = unavailable(ex)
                error.__cause__ = ex
                future.set_exception(error)

    async def close(self) -> None:
        """Let running calls finish, each within its time, then close the connection."""
        self._is_closed = True
        running = [future for *_, future in self._waiting if future is not None]
        if self._wire is not None:
            running += self._wire.waiting()
        if running:
            await asyncio.wait(running, timeout=2 * self._timeout_s)
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting
        if self._wire is not None:
            self._wire.close()
