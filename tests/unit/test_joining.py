"""Answers leave in one piece, and nothing that was written stays behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from transport.joining import JoiningTransport


class Sent(asyncio.Protocol):
    """Nothing: the other end is read by hand."""


class Line:
    """A joining transport over a real connection, whose pieces are seen one by one."""

    def __init__(self, transport: asyncio.Transport, peer: socket.socket) -> None:
        self.pieces: list[bytes] = []
        self._write = transport.write
        transport.write = self._note  # type: ignore[method-assign, assignment]
        self.transport = JoiningTransport(transport, asyncio.get_running_loop())
        self.peer = peer

    def _note(self, data: bytes) -> None:
        self.pieces.append(data)
        self._write(data)

    async def received(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.peer, 1000)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    ours, peer = socket.socketpair()
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(Sent, sock=ours)
    yield Line(transport, peer)
    transport.close()
    peer.close()
    await asyncio.sleep(0)


async def test_two_pieces_leave_together(line: Line) -> None:
    line.transport.write(b"head ")
    line.transport.write(b"body")
    assert line.pieces == [b"head body"]
    assert await line.received() == b"head body"


async def test_an_empty_body_sends_the_head_at_once(line: Line) -> None:
    line.transport.write(b"head")
    line.transport.write(b"")
    assert line.pieces == [b"head"]


async def test_a_piece_alone_waits_for_nobody(line: Line) -> None:
    line.transport.write(b"alone")
    assert line.pieces == []
    assert await line.received() == b"alone"


async def test_pieces_keep_their_order(line: Line) -> None:
    for number in range(5):
        line.transport.write(b"%d" % number)
    assert await line.received() in (b"01", b"0123", b"01234")
    await asyncio.sleep(0)
    assert b"".join(line.pieces) == b"01234"


async def test_closing_sends_what_was_held_back(line: Line) -> None:
    line.transport.write(b"last words")
    line.transport.close()
    assert await line.received() == b"last words"
    assert await line.received() == b""


async def test_the_rest_is_the_transport_itself(line: Line) -> None:
    assert not line.transport.is_closing()
    assert line.transport.get_extra_info("socket") is not None
