"""A Redis Cluster: which master has which slot, and what to do when that changes.

NOTE: redis-py's cluster client repeats commands after a lost connection, which could write
twice, and pipelines neither across requests nor in bounded time; so it is not used here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from redis.exceptions import AskError, MovedError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError

from queues.errors import StorageUnavailable
from storage_drivers.redis.connection import connect, first_answer
from storage_drivers.redis.errors import in_time
from storage_drivers.redis.pipeline import Pipeline
from storage_drivers.redis.url import Address, Target
from storage_drivers.redis.wire import Reply, Wire

SLOTS = 16384

#: A slot on its way to another node answers TRYAGAIN; so long until the next try.
TRY_AGAIN_S = 0.05


class Cluster:
    """Sends each command to the master of its slot and follows redirections."""

    def __init__(self, target: Target, timeout_s: float) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._pipelines: dict[Address, Pipeline] = {}
        self._masters: list[Address | None] = [None] * SLOTS
        self._is_map_stale = True
        self._refreshing = asyncio.Lock()

    async def execute(self, slot: int, packed: bytes) -> Reply:
        """Run a command with keys in `slot`; see `Pipeline.submit`."""
        async with in_time(self._timeout_s):
            while True:
                try:
                    return await self._submit(slot, packed)
                except MovedError as ex:
                    # The whole map is read anew: slots move in numbers.
                    self._is_map_stale = True
                    self._masters[slot] = (ex.host, ex.port)
                except TryAgainError:
                    await asyncio.sleep(TRY_AGAIN_S)

    async def _submit(self, slot: int, packed: bytes) -> Reply:
        try:
            return await self._submit_to_master(slot, packed)
        except MovedError:
            raise
        except AskError as ex:
            # The slot is on its way, and the keys are there already; it may say TRYAGAIN.
            return await self._pipeline((ex.host, ex.port)).submit(packed, asking=True)

    async def _submit_to_master(self, slot: int, packed: bytes) -> Reply:
        return await self._on(await self.address_of(slot), packed)

    async def address_of(self, slot: int) -> Address:
        """Return the master of a slot. Raises: StorageUnavailable."""
        if self._is_map_stale:
            await self._refresh()
        master = self._masters[slot]
        if master is None:
            self._is_map_stale = True
            raise StorageUnavailable("No server of the Redis Cluster has this slot")
        return master

    async def connect_to(self, address: Address) -> Wire:
        """Open a connection of its own to a server."""
        return await connect(self._target, address, self._timeout_s)

    def doubt(self) -> None:
        """Read the map of the slots anew before the next command."""
        self._is_map_stale = True

    async def _on(self, master: Address, packed: bytes) -> Reply:
        try:
            return await self._pipeline(master).submit(packed)
        except StorageUnavailable:
            # A replica may take over its slots.
            self._is_map_stale = True
            raise

    def _pipeline(self, address: Address) -> Pipeline:
        if address not in self._pipelines:
            opener = partial(self.connect_to, address)
            self._pipelines[address] = Pipeline(opener, self._timeout_s)
        return self._pipelines[address]

    async def _refresh(self) -> None:
        """Ask any server that we know which master has which slot."""
        async with self._refreshing:
            if not self._is_map_stale:
                return
            known = {*self._target.addresses, *self._pipelines}
            self._masters = await first_answer(known, self._read_map)
            self._is_map_stale = False

    async def _read_map(self, server: Address) -> list[Address | None]:
        wire = await connect(self._target, server, self._timeout_s)
        try:
            ranges: list[Any] = await wire.ask(b"CLUSTER", b"SLOTS")
        finally:
            wire.close()
        if not ranges:
            # A node that was taken out of the cluster is still there, and knows of nobody.
            raise RedisConnectionError("a server of the Redis Cluster knows no slots")
        masters: list[Address | None] = [None] * SLOTS
        for first, last, (host, port, *_), *_ in ranges:
            # A server that does not know its own name leaves it out.
            address = (host.decode() if host else server[0], int(port))
            masters[first : last + 1] = [address] * (last + 1 - first)
        return masters

    async def on_every_master(self, packed: bytes) -> Sequence[Reply]:
        """Run a command on each master."""
        async with in_time(self._timeout_s):
            if self._is_map_stale:
                await self._refresh()
            masters = {master for master in self._masters if master is not None}
            return await asyncio.gather(*(self._on(master, packed) for master in masters))

    async def close(self) -> None:
        """Let running calls finish, then close the connections."""
        await asyncio.gather(*(pipeline.close() for pipeline in self._pipelines.values()))
