"""One connection to a server: commands go out, replies come back in the same order.

PERF: a protocol that feeds a parser in C, not asyncio's streams: what one read brings answers
all calls it is for, and nobody waits for a buffer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import hiredis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from queues.errors import StorageUnavailable
from storage_drivers.redis.errors import unavailable
from storage_drivers.redis.scripts import Script, command

Reply = Any

#: What is sent, when its caller began to wait, and who waits: nobody for None.
Call = tuple[bytes, float, asyncio.Future[Reply] | None]

_KINDS: dict[str, type[ResponseError]] = {
    "NOSCRIPT": NoScriptError,
    "READONLY": ReadOnlyError,
    "MOVED": MovedError,
    "ASK": AskError,
    "TRYAGAIN": TryAgainError,
}
_LOGIN_ERRORS = {"NOAUTH", "WRONGPASS"}


def error_of(message: str) -> RedisError:
    """Return the exception that stands for an error reply."""
    code, _, rest = message.partition(" ")
    if code in _LOGIN_ERRORS:
        return AuthenticationError(message)
    if code in _KINDS:
        return _KINDS[code](rest)
    return ResponseError(message)


class Wire(asyncio.Protocol):
    """A connection. It never repeats a command that may have been run."""

    def __init__(self, timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._reader = hiredis.Reader(protocolError=RedisConnectionError, replyError=error_of)
        self._calls: deque[Call] = deque()
        self._reloaded: set[asyncio.Future[Reply]] = set()
        self._watch: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._is_demoted = False
        self.idle_since_s = self._loop.time()

    @property
    def is_open(self) -> bool:
        """Whether a command may be sent, as far as we know."""
        return (
            self._transport is not None
            and not self._is_demoted
            and not self._transport.is_closing()
        )

    @property
    def is_idle(self) -> bool:
        """Whether no reply is awaited."""
        return not self._calls

    def send(self, calls: Sequence[Call]) -> None:
        """Send commands in one write. `is_open` must be true.

        A future gets its reply, an error reply as redis-py's ResponseError, or
        StorageUnavailable when none comes in time.
        """
        self._calls.extend(calls)
        cast(asyncio.Transport, self._transport).write(b"".join([call[0] for call in calls]))
        if self._watch is None:
            self._watch = self._loop.call_at(calls[0][1] + self._timeout_s, self._look)

    async def ask(self, *parts: bytes) -> Reply:
        """Send one command and return its reply."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        self.send([(command(*parts), self._loop.time(), future)])
        return await future

    def hand_over(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        """Leave the connection to another protocol. No reply may be awaited."""
        transport = cast(asyncio.Transport, self._transport)
        transport.set_protocol(protocol)
        return transport

    def close(self) -> None:
        """Close at once; calls that are under way fail."""
        self._fail(RedisConnectionError("the connection was closed"))

    def waiting(self) -> list[asyncio.Future[Reply]]:
        """Return the calls that are under way."""
        return [future for *_, future in self._calls if future is not None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or RedisConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            # False: nothing more has come as a whole; no reply of this protocol is False.
            while (reply := self._reader.gets()) is not False:
                self._answer(self._calls.popleft(), reply)
        except (RedisConnectionError, IndexError):
            self._fail(RedisConnectionError("the server sent what nobody asked for"))
        if not self._calls:
            self.idle_since_s = self._loop.time()
            if self._is_demoted:
                self.close()

    def _answer(self, call: Call, reply: Reply) -> None:
        future = call[2]
        if future is None or future.done():
            return
        if not isinstance(reply, RedisError):
            future.set_result(reply)
        elif isinstance(reply, NoScriptError):
            self._load_scripts(call, future)
        else:
            # The others on this connection must not go to a replica; they find the master.
            self._is_demoted |= isinstance(reply, ReadOnlyError)
            future.set_exception(reply)

    def _load_scripts(self, call: Call, future: asyncio.Future[Reply]) -> None:
        """Send a call again, once, whose script the server did not know and so did not run."""
        if future in self._reloaded or not self.is_open:
            future.set_exception(StorageUnavailable("Redis does not keep scripts"))
            return
        loads: list[Call] = []
        if not self._reloaded:
            loads = [(script.load(), call[1], None) for script in Script.loaded]
        self._reloaded.add(future)
        future.add_done_callback(self._reloaded.discard)
        self.send([*loads, call])

    def _look(self) -> None:
        """Give up when the oldest call has waited for too long."""
        self._watch = None
        if not self._calls:
            return
        ends_s = self._calls[0][1] + self._timeout_s
        if ends_s <= self._loop.time():
            self._fail(TimeoutError())
        else:
            self._watch = self._loop.call_at(ends_s, self._look)

    def _fail(self, ex: Exception) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._transport is not None:
            self._transport.abort()
        while self._calls:
            future = self._calls.popleft()[2]
            if future is not None and not future.done():
                error = unavailable(ex)
                error.__cause__ = ex
                future.set_exception(error)
