"""Wake-ups: hints that Redis publishes to whoever watches.

The scripts that change what can be seen publish in the same step (`includes/tell.lua`). A
process subscribes to the channels of what it watches, over one connection to each server that
has any of them. What it could not subscribe to, or hears no more as a connection was lost or
a slot moved, it tries again and again, and then hints at everything: it may have missed some.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Set

from redis.crc import key_slot
from redis.exceptions import RedisError

from queues.errors import StorageUnavailable
from queues.model import Topic
from queues.wakeups import Heard, Wakeups
from storage_drivers.redis.ear import Ear
from storage_drivers.redis.errors import unavailable
from storage_drivers.redis.executor import Executor
from storage_drivers.redis.scripts import Script
from storage_drivers.redis.url import Address

logger = logging.getLogger(__name__)

_TELL = Script("tell_topic", keys="channel", args="")

#: Pauses between tries, from the first to the longest; each is twice the one before.
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class RedisWakeups(Wakeups):
    """The contract's view on wake-ups."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._servers = executor.servers
        self._heard: Heard | None = None
        #: What is watched, by channel; which of it is heard, and by whom; and which is not.
        self._topics: dict[bytes, Topic] = {}
        self._placed: dict[bytes, Ear] = {}
        self._missing: set[bytes] = set()
        self._ears: dict[Address, asyncio.Task[Ear]] = {}
        self._mending: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._untold: set[Topic] = set()
        self._telling: asyncio.Task[None] | None = None
        self._is_closed = False

    def listen(self, heard: Heard) -> None:
        self._heard = heard

    def _hint(self, topic: Topic | None) -> None:
        if self._heard is not None:
            self._heard(topic)

    async def watch(self, topic: Topic) -> None:
        channel = self._executor.layout.channel(topic)
        self._topics[channel] = topic
        if channel in self._placed:
            return
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._executor.timeout_s):
                    await self._try(channel)
        finally:
            self._miss({channel})

    async def forget(self, topic: Topic) -> None:
        channel = self._executor.layout.channel(topic)
        self._topics.pop(channel, None)
        if ear := self._placed.pop(channel, None):
            ear.leave(channel)

    async def _place(self, channel: bytes) -> None:
        """Subscribe to a channel on the server that has its slot.

        Raises: StorageUnavailable; RedisError when the server refuses.
        """
        address = await self._servers.address_of(key_slot(channel))
        ear = await self._ear_at(address)
        await ear.add(channel)
        if channel not in self._topics:
            ear.leave(channel)
        elif ear.hears(channel):
            self._placed[channel] = ear

    async def _ear_at(self, address: Address) -> Ear:
        opening = self._ears.get(address)
        if opening is None or (opening.done() and not _is_open(opening)):
            opening = self._ears[address] = asyncio.create_task(self._open(address))
        return await asyncio.shield(opening)

    async def _open(self, address: Address) -> Ear:
        ear = Ear(self._hear, self._lose)
        try:
            wire = await self._servers.connect_to(address)
            try:
                await ear.open(wire)
            except BaseException:
                wire.close()
                raise
        except (RedisError, OSError) as ex:
            raise unavailable(ex) from ex
        return ear

    def _hear(self, channel: bytes) -> None:
        if topic := self._topics.get(channel):
            self._hint(topic)

    def _lose(self, ear: Ear, channels: Set[bytes]) -> None:
        self._servers.doubt()
        lost = {channel for channel in channels if self._placed.get(channel) is ear}
        for channel in lost:
            del self._placed[channel]
        self._miss(lost)

    def _miss(self, channels: Set[bytes]) -> None:
        """Have those of the channels subscribed to that are watched and not heard."""
        self._missing |= (channels & self._topics.keys()) - self._placed.keys()
        if self._missing and self._mending is None:
            self._mending = asyncio.create_task(self._mend())

    async def _mend(self) -> None:
        """Try until all that is watched is heard.

        Hints at everything whenever a server answered, be it by a refusal: then there may be
        something to see that nobody told us of.
        """
        pause_s = _FIRST_PAUSE_S
        while self._missing:
            tried, self._missing = self._missing & self._topics.keys(), set()
            answers = await asyncio.gather(*map(self._try, tried))
            if any(answers):
                self._hint(None)
            self._missing |= (tried & self._topics.keys()) - self._placed.keys()
            if self._missing:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self._mending = None

    async def _try(self, channel: bytes) -> bool:
        """Try to subscribe to a channel, and say whether a server answered."""
        try:
            await self._place(channel)
        except StorageUnavailable as ex:
            logger.info("hints may be late: %s", ex)
            return False
        except RedisError as ex:
            # The slot has moved, or we may not subscribe.
            self._servers.doubt()
            logger.info("hints may be late: %s", ex)
        return True

    def tell(self, topic: Topic) -> None:
        if self._is_closed:
            return
        sending = asyncio.create_task(self._send(topic))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def _send(self, topic: Topic) -> None:
        layout = self._executor.layout
        place = layout.queue(topic.project, topic.name)
        try:
            await self._executor.run(_TELL, place, {"channel": layout.channel(topic)})
        except StorageUnavailable:
            self._untold.add(topic)
            if self._telling is None and not self._is_closed:
                self._telling = asyncio.create_task(self._tell_again())

    async def _tell_again(self) -> None:
        """Send what could not be sent: whoever watches may have lost no connection."""
        while self._untold:
            await asyncio.sleep(_LONGEST_PAUSE_S)
            topics, self._untold = self._untold, set()
            await asyncio.gather(*map(self._send, topics))
        self._telling = None

    async def close(self) -> None:
        """Send what is to be told, in time, then hear no more."""
        self._is_closed = True
        self._topics.clear()
        await asyncio.gather(*self._sending)
        for task in (self._telling, self._mending, *self._ears.values()):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, StorageUnavailable):
                    await task
        for opening in self._ears.values():
            if _is_open(opening):
                opening.result().close()


def _is_open(opening: asyncio.Task[Ear]) -> bool:
    return not opening.cancelled() and opening.exception() is None and opening.result().is_open
