"""Workers that wait at one listening socket share the connections, and leave none waiting."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from transport.acceptor import Acceptor
from transport.tally import Share, Tally


class Worker:
    """One who accepts, as a worker would, and counts."""

    def __init__(self, listener: socket.socket, share: Share) -> None:
        self.connections: set[asyncio.Transport] = set()
        # An event loop watches a descriptor for one only.
        self.listener = socket.socket(fileno=os.dup(listener.fileno()))
        self.acceptor = Acceptor(
            [self.listener],
            lambda: _Connection(self.connections),
            count=lambda: len(self.connections),
            share=share,
        )

    def close(self) -> None:
        self.acceptor.close()
        self.listener.close()
        for connection in self.connections:
            connection.close()


class _Connection(asyncio.Protocol):
    def __init__(self, connections: set[asyncio.Transport]) -> None:
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._connections.add(transport)


Hire = Callable[[Share], Worker]


@pytest.fixture
async def listener() -> AsyncIterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
async def hire(listener: socket.socket) -> AsyncIterator[Hire]:
    hired: list[Worker] = []

    def begin(share: Share) -> Worker:
        hired.append(Worker(listener, share))
        return hired[-1]

    yield begin
    for worker in hired:
        worker.close()


@pytest.fixture
def tally() -> Tally:
    return Tally()


async def connect(listener: socket.socket, number: int) -> list[socket.socket]:
    """Open connections one after the other, as fast as it goes."""
    loop, opened = asyncio.get_running_loop(), []
    for _ in range(number):
        client = socket.socket()
        client.setblocking(False)
        await loop.sock_connect(client, listener.getsockname())
        opened.append(client)
    return opened


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110 (the kernel tells nobody)
            await asyncio.sleep(0.001)


async def test_connections_that_come_at_once_are_shared(
    listener: socket.socket, hire: Hire, tally: Tally
) -> None:
    workers = [hire(tally.share(number)) for number in range(3)]
    clients = await connect(listener, 60)
    await until(lambda: sum(len(worker.connections) for worker in workers) == 60)
    assert max(len(worker.connections) for worker in workers) <= 22
    for client in clients:
        client.close()


async def test_a_worker_that_hangs_keeps_nobody_waiting(
    listener: socket.socket, hire: Hire, tally: Tally
) -> None:
    # It said so a moment ago, and for as long as this test takes.
    tally.share(1).say(0, asyncio.get_running_loop().time() + 60)
    worker = hire(tally.share(2))
    clients = await connect(listener, 10)
    await until(lambda: len(worker.connections) == 10)
    for client in clients:
        client.close()


async def test_a_closed_one_accepts_nothing_and_leaves_it_to_others(
    listener: socket.socket, hire: Hire, tally: Tally
) -> None:
    closed = hire(tally.share(1))
    closed.acceptor.close()
    (client,) = await connect(listener, 1)
    other = hire(tally.share(2))
    await until(lambda: len(other.connections) == 1)
    assert not closed.connections
    client.close()


async def test_without_descriptors_clients_wait_until_there_are_some(
    listener: socket.socket,
    hire: Hire,
    tally: Tally,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = hire(tally.share(1))
    with socket.socket() as client:
        client.setblocking(False)
        lowest, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
        next_one = os.dup(0)
        os.close(next_one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, highest))
        try:
            await asyncio.get_running_loop().sock_connect(client, listener.getsockname())
            await until(lambda: "cannot be accepted now" in caplog.text)
            for _ in range(100):
                await asyncio.sleep(0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, highest))
        assert not worker.connections
        await until(lambda: len(worker.connections) == 1)
    assert caplog.text.count("cannot be accepted now") == 1
