"""Opens connections to a server: at an address, or to the master that Sentinels name."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from queues.errors import StorageUnavailable
from storage_drivers.redis.errors import unavailable
from storage_drivers.redis.url import Address, Target
from storage_drivers.redis.wire import Wire

Found = TypeVar("Found")


async def connect(
    target: Target, address: Address, timeout_s: float, *, login: bool = True, db: int = 0
) -> Wire:
    """Open a connection to one server and log in."""
    # SECURITY: verifies the certificate and the name of the server.
    context = ssl.create_default_context() if target.tls else None
    async with asyncio.timeout(timeout_s):
        transport, wire = await asyncio.get_running_loop().create_connection(
            lambda: Wire(timeout_s), *address, ssl=context
        )
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        if login and (target.username or target.password):
            await wire.ask(b"AUTH", *_credentials(target))
        if db:
            await wire.ask(b"SELECT", b"%d" % db)
    except BaseException:
        wire.close()
        raise
    return wire


def _credentials(target: Target) -> list[bytes]:
    name = [target.username.encode()] if target.username else []
    return [*name, (target.password or "").encode()]


async def first_answer(
    addresses: Iterable[Address], question: Callable[[Address], Awaitable[Found]]
) -> Found:
    """Ask all servers at once and return what the first one says that says anything.

    Raises: StorageUnavailable when none does.
    """

    async def asked(address: Address) -> Found:
        return await question(address)

    tasks = [asyncio.ensure_future(asked(address)) for address in addresses]
    failure: Exception = RedisConnectionError("no server is known")
    try:
        for next_done in asyncio.as_completed(tasks):
            try:
                return await next_done
            except (RedisError, OSError, StorageUnavailable) as ex:
                failure = ex
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    raise unavailable(failure) from failure


async def connect_to_master(target: Target, timeout_s: float) -> Wire:
    """Open a connection to the server that Sentinels call the master and that agrees.

    Source: the guidelines for clients with support for Sentinel, redis.io.
    """

    async def question(sentinel: Address) -> Address:
        return await _ask_sentinel(target, sentinel, timeout_s)

    address = await first_answer(target.addresses, question)
    wire = await connect(target, address, timeout_s, db=target.db)
    is_master = False
    try:
        is_master = (await wire.ask(b"ROLE"))[0] == b"master"
    finally:
        if not is_master:
            wire.close()
    if not is_master:
        raise StorageUnavailable("The server that Redis Sentinel names is not a master yet")
    return wire


async def _ask_sentinel(target: Target, sentinel: Address, timeout_s: float) -> Address:
    """Return the address of the master; log in only if this Sentinel wants it."""
    try:
        return await _master_address(target, sentinel, timeout_s, login=False)
    except (AuthenticationError, ResponseError):
        return await _master_address(target, sentinel, timeout_s, login=True)


async def _master_address(
    target: Target, sentinel: Address, timeout_s: float, *, login: bool
) -> Address:
    wire = await connect(target, sentinel, timeout_s, login=login)
    try:
        name = target.master_name.encode()
        found = await wire.ask(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", name)
    finally:
        wire.close()
    if not found:
        raise RedisConnectionError("Sentinel knows no master of this name")
    return found[0].decode(), int(found[1])
