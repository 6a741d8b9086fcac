"""One connection that hears what is published, and notices soon when it hears no more."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Set
from typing import NamedTuple

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from queues.errors import StorageUnavailable
from storage_drivers.redis.errors import unavailable
from storage_drivers.redis.scripts import command
from storage_drivers.redis.wire import Reply, Wire, error_of

#: A connection without news is tried so often, and given up when no answer comes for as long.
PING_S = 1.0

_PING = command(b"PING")


class _Asked(NamedTuple):
    """A command whose answer is awaited: since when; for which channel, and by whom."""

    packed: bytes
    since_s: float
    channel: bytes
    answered: asyncio.Future[None] | None


class Ear(asyncio.Protocol):
    """Hears of channels on one server, until it is closed or the connection is lost.

    `heard` is called with a channel for each hint. `lost` is called with those channels that
    are heard of no more without having been left: all of them, once, if the connection ended.
    """

    def __init__(
        self, heard: Callable[[bytes], None], lost: Callable[[Ear, Set[bytes]], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._heard = heard
        self._lost = lost
        self._reader = hiredis.Reader(protocolError=RedisConnectionError, replyError=error_of)
        self._asked: deque[_Asked] = deque()
        self._channels: set[bytes] = set()
        self._prefix = b""
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def open(self, wire: Wire) -> None:
        """Take over a connection that is logged in.

        Raises: RedisError, StorageUnavailable.
        """
        # Channels that belong to a slot came with Redis 7, as `includes/tell.lua` knows.
        (is_known,) = await wire.ask(b"COMMAND", b"INFO", b"SSUBSCRIBE")
        self._prefix = b"S" if is_known else b""
        self._transport = wire.hand_over(self)
        self._watch = self._loop.call_later(PING_S, self._look)

    @property
    def is_open(self) -> bool:
        """Whether channels may be added, as far as we know."""
        return self._transport is not None and not self._transport.is_closing()

    def add(self, channel: bytes) -> asyncio.Future[None]:
        """Hear of a channel; the future is done when no later hint is missed.

        It fails with an error reply, or StorageUnavailable.
        """
        answered: asyncio.Future[None] = self._loop.create_future()
        self._ask(command(self._prefix + b"SUBSCRIBE", channel), channel, answered)
        return answered

    def hears(self, channel: bytes) -> bool:
        """Say whether hints about a channel are heard now."""
        return channel in self._channels

    def leave(self, channel: bytes) -> None:
        """Hear of a channel no more."""
        self._channels.discard(channel)
        if self.is_open:
            self._ask(self._leaving(channel))

    def _leaving(self, channel: bytes) -> bytes:
        return command(self._prefix + b"UNSUBSCRIBE", channel)

    def _ask(
        self,
        packed: bytes,
        channel: bytes = b"",
        answered: asyncio.Future[None] | None = None,
    ) -> None:
        self._asked.append(_Asked(packed, self._loop.time(), channel, answered))
        if self._transport is not None:
            self._transport.write(packed)

    def close(self) -> None:
        """Close at once; nothing is reported as lost."""
        self._channels.clear()
        self._fail(RedisConnectionError("the connection was closed"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or RedisConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._read(reply)
        except (RedisConnectionError, IndexError):
            self._fail(RedisConnectionError("the server sent what nobody asked for"))

    def _read(self, reply: Reply) -> None:
        kind, channel = reply[:2] if isinstance(reply, list) else (b"", b"")
        if kind in (b"message", b"smessage"):
            self._heard(channel)
        elif kind in (b"unsubscribe", b"sunsubscribe") and not self._is_leaving(channel):
            # The slot of the channel went to another server.
            self._channels.discard(channel)
            self._lost(self, {channel})
        else:
            self._answer(reply)

    def _is_leaving(self, channel: bytes) -> bool:
        return bool(self._asked) and self._asked[0].packed == self._leaving(channel)

    def _answer(self, reply: Reply) -> None:
        *_, channel, answered = self._asked.popleft()
        if answered is None:
            return
        if not isinstance(reply, RedisError):
            self._channels.add(channel)
            if not answered.done():
                answered.set_result(None)
        elif not answered.done():
            answered.set_exception(reply)

    def _look(self) -> None:
        """Give up when an answer is overdue, and ask for one if there is something to hear."""
        self._watch = None
        now_s = self._loop.time()
        if self._asked and now_s - self._asked[0].since_s >= PING_S:
            self._fail(TimeoutError())
            return
        if self._channels and not self._asked:
            self._ask(_PING)
        self._watch = self._loop.call_later(PING_S, self._look)

    def _fail(self, ex: Exception) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._transport is not None:
            self._transport.abort()
        for answered in [asked.answered for asked in self._asked]:
            if answered is not None and not answered.done():
                error: StorageUnavailable = unavailable(ex)
                error.__cause__ = ex
                answered.set_exception(error)
        self._asked.clear()
        channels, self._channels = self._channels, set()
        if channels:
            self._lost(self, channels)
