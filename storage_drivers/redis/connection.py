"""Opens connections to a server: at an address, or to the master that Sentinels name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from queues.errors import StorageUnavailable
from storage_drivers.redis.errors import unavailable
from storage_drivers.redis.scripts import command
from storage_drivers.redis.url import Address, Target

Found = TypeVar("Found")


async def connect(
    target: Target, address: Address, timeout_s: float, *, login: bool = True, db: int = 0
) -> AbstractConnection:
    """Open a connection to one server.

    NOTE: it never repeats anything by itself, since a repeated write may be a second write;
    and it bounds only connecting, since the caller bounds the whole exchange.
    """
    kind = SSLConnection if target.tls else Connection
    connection = kind(
        host=address[0],
        port=address[1],
        db=db,
        username=target.username if login else None,
        password=target.password if login else None,
        socket_connect_timeout=timeout_s,
        socket_timeout=None,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


async def ask(connection: AbstractConnection, *parts: bytes) -> list[bytes]:
    """Send one command and return its reply, a list."""
    await connection.send_packed_command(command(*parts), check_health=False)
    reply: list[bytes] = await connection.read_response(disable_decoding=True)
    return reply


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
            except (RedisError, OSError) as ex:
                failure = ex
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    raise unavailable(failure) from failure


async def connect_to_master(target: Target, timeout_s: float) -> AbstractConnection:
    """Open a connection to the server that Sentinels call the master and that agrees.

    Source: the guidelines for clients with support for Sentinel, redis.io.
    """

    async def question(sentinel: Address) -> Address:
        return await _ask_sentinel(target, sentinel, timeout_s)

    address = await first_answer(target.addresses, question)
    connection = await connect(target, address, timeout_s, db=target.db)
    is_master = False
    try:
        is_master = (await ask(connection, b"ROLE"))[0] == b"master"
    finally:
        if not is_master:
            await connection.disconnect(nowait=True)
    if not is_master:
        raise StorageUnavailable("The server that Redis Sentinel names is not a master yet")
    return connection


async def _ask_sentinel(target: Target, sentinel: Address, timeout_s: float) -> Address:
    """Return the address of the master; log in only if this Sentinel wants it."""
    try:
        return await _master_address(target, sentinel, timeout_s, login=False)
    except (AuthenticationError, ResponseError):
        return await _master_address(target, sentinel, timeout_s, login=True)


async def _master_address(
    target: Target, sentinel: Address, timeout_s: float, *, login: bool
) -> Address:
    connection = await connect(target, sentinel, timeout_s, login=login)
    try:
        name = target.master_name.encode()
        found = await ask(connection, b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", name)
    finally:
        await connection.disconnect(nowait=True)
    if not found:
        raise RedisConnectionError("Sentinel knows no master of this name")
    return found[0].decode(), int(found[1])
