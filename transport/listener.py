"""The socket that the server listens on, made before anything else is started."""

from __future__ import annotations

import errno
import socket

_BACKLOG = 2048

#: A client that takes nothing of its answer for so long is cut off, where the system can.
MAX_STALL_MS = 60_000

#: The machine lacks this kind of address, so another address of the same name may do.
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class CannotListen(Exception):
    """Nothing can listen on this host and port, for a reason that the text gives."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes any free one.

    Raises: CannotListen when the port is taken or forbidden, or the host is unknown.
    """
    try:
        return _first_that_listens(_addresses(host, port))
    except OSError as ex:
        reason = ex.strerror or str(ex)
        raise CannotListen(f"cannot listen on {host} port {port}: {reason}") from ex


def url_of(listener: socket.socket) -> str:
    """Return the URL on which this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared only)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return [(family, address) for family, _, _, _, address in found]


def _first_that_listens(
    addresses: list[tuple[socket.AddressFamily, tuple[object, ...]]],
) -> socket.socket:
    for family, address in addresses[:-1]:
        try:
            return _listen(family, address)
        except OSError as ex:
            if ex.errno not in _NO_SUCH_ADDRESS:
                raise
    return _listen(*addresses[-1])


def _listen(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _limit_stalls(listener)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _limit_stalls(listener: socket.socket) -> None:
    """Make the kernel end connections, made from `listener`, whose peer acknowledges nothing.

    SECURITY: whoever asks for large pages and never reads them would fill the memory. The
    time-out for idle connections does not help: it lets an answer be sent to its end.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, MAX_STALL_MS)
