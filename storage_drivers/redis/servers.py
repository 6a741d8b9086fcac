"""Brings a command to the server that is responsible for its keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

from storage_drivers.redis.cluster import Cluster
from storage_drivers.redis.connection import connect, connect_to_master
from storage_drivers.redis.pipeline import Pipeline
from storage_drivers.redis.url import Address, Kind, Target
from storage_drivers.redis.wire import Reply, Wire


class Servers(Protocol):
    """One server, or many that share the slots."""

    def execute(self, slot: int, packed: bytes) -> Awaitable[Reply]:
        """Run a command with keys in `slot`; see `Pipeline.submit`."""

    async def on_every_master(self, packed: bytes) -> Sequence[Reply]:
        """Run a command on each master."""

    async def address_of(self, slot: int) -> Address:
        """Return the server that has a slot. Raises: StorageUnavailable."""

    async def connect_to(self, address: Address) -> Wire:
        """Open a connection of its own to such a server."""

    def doubt(self) -> None:
        """Find out anew which server has which slot before the next command."""

    async def close(self) -> None:
        """Let running calls finish, then close the connections."""


class SingleServer:
    """A standalone server, or the master of a Sentinel group."""

    def __init__(self, target: Target, timeout_s: float) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._pipeline = Pipeline(self._connect, timeout_s)

    async def _connect(self) -> Wire:
        target = self._target
        if target.kind is Kind.SENTINEL:
            return await connect_to_master(target, self._timeout_s)
        return await connect(target, target.addresses[0], self._timeout_s, db=target.db)

    def execute(self, slot: int, packed: bytes) -> asyncio.Future[Reply]:
        return self._pipeline.submit(packed)

    async def on_every_master(self, packed: bytes) -> Sequence[Reply]:
        return [await self._pipeline.submit(packed)]

    async def address_of(self, slot: int) -> Address:
        """Return what stands for the server, whoever is the master."""
        return self._target.addresses[0]

    async def connect_to(self, address: Address) -> Wire:
        return await self._connect()

    def doubt(self) -> None:
        """Do nothing: a connection is always opened to the master."""

    async def close(self) -> None:
        await self._pipeline.close()


def servers_of(target: Target, timeout_s: float) -> Servers:
    """Return the servers that a URL speaks of. Nothing is connected yet."""
    if target.kind is Kind.CLUSTER:
        return Cluster(target, timeout_s)
    return SingleServer(target, timeout_s)
