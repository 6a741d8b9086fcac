"""Runs scripts and commands for the stores: names of keys in, replies or our errors out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from redis.exceptions import RedisError

from queues.errors import ClaimLost, IdempotencyKeyReused, MessageSealed, QueueChanged
from queues.model import Idempotency
from storage_drivers.redis.errors import Answer, in_time, unavailable
from storage_drivers.redis.layout import Layout, Place, QueuePlace
from storage_drivers.redis.scripts import Argument, Script, command
from storage_drivers.redis.servers import Servers
from storage_drivers.redis.wire import Reply

_ERRORS = {
    Answer.QUEUE_CHANGED: QueueChanged,
    Answer.KEY_REUSED: IdempotencyKeyReused,
    Answer.CLAIM_LOST: ClaimLost,
    Answer.MESSAGE_SEALED: MessageSealed,
}
#: For scripts all of whose keys are the same for all calls in a place.
NO_KEYS: Mapping[str, bytes] = MappingProxyType({})
_NOT_IDEMPOTENT = Idempotency(key="", fingerprint="", window_ms=0)


class Executor:
    """What the three stores share: the servers, the layout and the timeout."""

    def __init__(self, servers: Servers, layout: Layout, timeout_s: float) -> None:
        self.servers = servers
        self.layout = layout
        self.timeout_s = timeout_s

    async def run(
        self,
        script: Script,
        place: Place,
        keys: Mapping[str, bytes] = NO_KEYS,
        rest: Collection[bytes] = (),
        /,
        **args: Argument,
    ) -> Reply:
        """Run a script, as often as it says AGAIN, and return its answer.

        Raises: StorageUnavailable; QueueChanged, IdempotencyKeyReused, ClaimLost and
        MessageSealed when the script answers so.
        """
        packed = script.run(place, keys, args, rest)
        try:
            reply = await self.servers.execute(place.slot, packed)
        except RedisError as ex:
            raise unavailable(ex) from ex
        if reply == Answer.AGAIN:
            async with in_time(self.timeout_s):
                while reply == Answer.AGAIN:
                    reply = await self._send(place, packed)
        if type(reply) is int and reply in _ERRORS:
            raise _ERRORS[Answer(reply)]
        return reply

    async def command(self, place: Place, *parts: bytes) -> Reply:
        """Run a plain command with keys of `place`."""
        return await self._send(place, command(*parts))

    async def _send(self, place: Place, packed: bytes) -> Reply:
        try:
            return await self.servers.execute(place.slot, packed)
        except RedisError as ex:
            raise unavailable(ex) from ex


def idempotent(
    place: QueuePlace, idempotency: Idempotency | None
) -> tuple[dict[str, bytes], dict[str, Argument]]:
    """Return the key and the arguments of a script that may be repeated under a key."""
    asked = idempotency or _NOT_IDEMPOTENT
    return (
        {"idempotency": place.idempotency(asked.key)},
        {"fingerprint": asked.fingerprint, "window_ms": asked.window_ms},
    )
