"""Sends the commands of all requests that one turn of the event loop issued in one write.

PERF: one write and one wake-up serve many requests; while all connections are busy, what
comes meanwhile forms the next batch, so batches grow with the load.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from queues.errors import StorageUnavailable
from storage_drivers.redis.errors import unavailable
from storage_drivers.redis.scripts import Script, command

Reply = Any
Connect = Callable[[], Awaitable[AbstractConnection]]

#: Batches on the way at the same time, each on a connection of its own.
CONNECTIONS = 4

#: A batch is no longer than this, so that a burst spreads over the connections.
COMMANDS_PER_BATCH = 500

#: A connection that was idle for longer is looked at before it is used: no server restarts
#: in less, and under load, when a look would cost, no connection is idle for so long.
IDLE_S = 0.02

_ASKING = command(b"ASKING")


@dataclass(slots=True)
class _Call:
    """A command on its way; the last of its `replies` is the answer."""

    packed: bytes
    replies: int
    future: asyncio.Future[Reply]
    since_s: float

    def answer(self, reply: Reply) -> None:
        if not self.future.done():
            self.future.set_result(reply)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Pipeline:
    """Batches commands to one server over a few connections, in bounded time."""

    def __init__(self, connect: Connect, timeout_s: float) -> None:
        self._connect = connect
        self._timeout_s = timeout_s
        self._waiting: deque[_Call] = deque()
        self._idle: list[tuple[AbstractConnection, float]] = []
        self._running: set[asyncio.Task[None]] = set()
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
        if asking:
            packed = _ASKING + packed
        self._waiting.append(_Call(packed, 1 + asking, future, loop.time()))
        if not self._is_flush_due:
            self._is_flush_due = True
            loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        self._is_flush_due = False
        while self._waiting and len(self._running) < CONNECTIONS:
            count = min(len(self._waiting), COMMANDS_PER_BATCH)
            batch = [self._waiting.popleft() for _ in range(count)]
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._flush()

    async def _run(self, batch: list[_Call]) -> None:
        live = [call for call in batch if not call.future.cancelled()]
        if not live:
            return
        try:
            async with asyncio.timeout_at(live[0].since_s + self._timeout_s):
                await self._exchange(await self._connection(), live)
        except (RedisError, OSError, StorageUnavailable) as ex:
            for call in live:
                error = unavailable(ex)
                error.__cause__ = ex
                call.fail(error)
        finally:
            # Nobody may wait for ever, whatever ended this task.
            for call in live:
                call.fail(StorageUnavailable("The connection to Redis was closed"))

    async def _connection(self) -> AbstractConnection:
        """Return a connection that is open as far as we know."""
        while self._idle:
            connection, since_s = self._idle.pop()
            if asyncio.get_running_loop().time() - since_s < IDLE_S:
                return connection
            is_sound = False
            try:
                is_sound = not await _is_stale(connection)
            finally:
                if not is_sound:
                    await connection.disconnect(nowait=True)
            if is_sound:
                return connection
        return await self._connect()

    async def _exchange(self, connection: AbstractConnection, batch: list[_Call]) -> None:
        """Send the calls and hand out the replies; keep the connection if it is sound."""
        is_sound = False
        try:
            unknown, is_demoted = await _round_trip(connection, batch)
            if unknown:
                await _load_scripts(connection)
                unknown, _ = await _round_trip(connection, unknown)
            for call in unknown:
                call.fail(StorageUnavailable("Redis does not keep scripts"))
            is_sound = not is_demoted
        finally:
            if is_sound:
                self._idle.append((connection, asyncio.get_running_loop().time()))
            else:
                await connection.disconnect(nowait=True)
                await self._drop_idle()

    async def close(self) -> None:
        """Let running calls finish, each within its time, then close the connections."""
        self._is_closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * self._timeout_s):
                while self._running or self._waiting:
                    await asyncio.wait(self._running) if self._running else await _turn()
        for task in self._running:
            task.cancel()
        while self._idle:
            connection, _ = self._idle.pop()
            await connection.disconnect()

    async def _drop_idle(self) -> None:
        """Close connections that nobody uses: after one failed, they are of no use either."""
        while self._idle:
            connection, _ = self._idle.pop()
            await connection.disconnect(nowait=True)


async def _turn() -> None:
    """Wait for one turn of the event loop."""
    await asyncio.sleep(0)


async def _is_stale(connection: AbstractConnection) -> bool:
    """Say whether an idle connection was closed, or has data that nobody asked for."""
    # NOTE: so that a close which the event loop has not heard of yet is heard of now.
    await _turn()
    # redis-py 8.0 gave it a new name and warns of the old one.
    can_read = getattr(connection, "can_read", None) or connection.can_read_destructive
    try:
        return bool(await can_read())
    except (RedisError, OSError):
        return True


async def _round_trip(
    connection: AbstractConnection, batch: Iterable[_Call]
) -> tuple[list[_Call], bool]:
    """Return the calls whose script the server does not know, and whether it is a replica.

    The others have their reply. A script that is unknown was not run.
    """
    unknown, is_replica = [], False
    await connection.send_packed_command(
        b"".join([call.packed for call in batch]), check_health=False
    )
    for call in batch:
        try:
            for _ in range(call.replies):
                reply = await connection.read_response(disable_decoding=True)
        except NoScriptError:
            unknown.append(call)
        except ResponseError as ex:
            is_replica |= isinstance(ex, ReadOnlyError)
            call.fail(ex)
        else:
            call.answer(reply)
    return unknown, is_replica


async def _load_scripts(connection: AbstractConnection) -> None:
    loads = [script.load() for script in Script.loaded]
    await connection.send_packed_command(b"".join(loads), check_health=False)
    for _ in loads:
        cast(bytes, await connection.read_response(disable_decoding=True))
