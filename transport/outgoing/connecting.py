"""Connections to receivers: only to addresses that may be written to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore

from queues.destinations import Address, Destinations

#: Names are resolved in threads of our own: one whose server hangs must not hold up the
#: store, which has threads, too, and not many others of its kind. A thread may hang for longer
#: than anybody waits for it, so there are several for each errand that one project may have
#: under way: or else nobody else's names would be resolved.
_RESOLVERS = 256


class NotAllowed(Exception):
    """The host has no address that may be written to."""


class NotResolved(Exception):
    """The name of the host leads nowhere."""


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects like the usual backend, but looks at each address before.

    SECURITY: a name is resolved here, once, and what is connected to is the address that was
    looked at; whoever changes what the name stands for in between changes nothing.
    """

    def __init__(self, destinations: Destinations) -> None:
        """Connect to `destinations`."""
        self._destinations = destinations
        self._inner = httpcore.AnyIOBackend()
        self._threads = ThreadPoolExecutor(_RESOLVERS, "nusku-resolver")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (as in the base class)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return a connection to the first address that answers.

        Raises: NotResolved, NotAllowed, httpcore.ConnectError, httpcore.ConnectTimeout.
        """
        failure: httpcore.ConnectError | None = None
        for address in await self._addresses(host, port):
            try:
                return await self._inner.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except httpcore.ConnectError as ex:
                failure = ex
        raise failure or NotAllowed

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 (as in the base class)
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: nobody subscribes with a path.

        Raises: NotAllowed.
        """
        raise NotAllowed

    async def sleep(self, seconds: float) -> None:
        """Wait, as the connection pool asks for between attempts."""
        await self._inner.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[Address]:
        """Return the addresses of a host that may be connected to, in order."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _resolve, host, port)
        except (OSError, UnicodeError) as ex:
            raise NotResolved from ex
        return [one for one in found if self._destinations.allow(host, one)]


def _resolve(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # NOTE: a scope behind % is of this machine, and no part of the address.
    texts = (str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found)
    return [ipaddress.ip_address(text) for text in dict.fromkeys(texts)]
