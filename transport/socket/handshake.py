"""How a connection becomes a WebSocket (RFC 6455, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from transport.socket.connection import SocketConnection

#: Here, and nowhere else.
PATH = b"/v2/websocket"


def is_for_socket(
    parser: httptools.HttpRequestParser, url: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> bool:
    """Say whether a request to upgrade is one to a WebSocket, where there is one."""
    return (
        parser.get_method() == b"GET"
        and parser.get_http_version() == "1.1"
        and url.partition(b"?")[0] == PATH
        and any(n == b"upgrade" and v.strip().lower() == b"websocket" for n, v in headers)
    )


def hand_over(connection: HttpToolsProtocol, head: bytes, rest: bytes) -> bool:
    """Let a WebSocket go on with a connection, from the head of the request on.

    False for what is no handshake to the stricter parser of WebSockets, which says nothing.
    """
    socket = SocketConnection(connection.config, connection.server_state, connection.app_state)
    socket.connection_made(connection.transport)
    connection.transport.set_protocol(socket)
    socket.data_received(head)
    if rest:
        socket.data_received(rest)
    return socket.handshake_initiated
