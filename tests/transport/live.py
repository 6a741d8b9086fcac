"""The service on a real socket, for what cannot be said through a well-behaved client."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvicorn

from queues.clock import SystemClock
from queues.config import Settings
from storage_drivers import open_storage
from tests.transport.service import CALLER
from transport.attendance import ATTENDED
from transport.composition import application
from transport.worker import Worker

#: How long the server waits for the body of a request.
BODY_TIMEOUT_S = 0.5


class LiveServer:
    """Uvicorn in a thread of this process, set up as under gunicorn."""

    def __init__(
        self, path: Path, *, serving: Mapping[str, Any] | None = None, **given: Any
    ) -> None:
        """Serve with these settings; `serving` are options of uvicorn."""
        settings = Settings(body_timeout_s=BODY_TIMEOUT_S, **given)
        storage, clock = open_storage(f"sqlite:///{path}", timeout_ms=5000), SystemClock()
        app = application(settings, storage, clock)
        config = uvicorn.Config(
            app,
            **Worker.CONFIG_KWARGS
            | {"loop": "asyncio", "log_config": None}
            | dict(serving or {}),
        )
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._socket.getsockname()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    @property
    def connections(self) -> set[Any]:
        """The connections that there are now."""
        return set(self._server.server_state.connections)

    def start(self) -> None:
        # The socket listens already, so whoever connects early waits in its queue.
        self._thread.start()

    def settle(self) -> None:
        """Wait until no request is being worked on, also of clients that went away."""
        deadline_s = time.monotonic() + 10
        while self._server.server_state.tasks:
            assert time.monotonic() < deadline_s, "a request is never finished"
            time.sleep(0.01)

    def until_somebody_waits(self) -> None:
        """Return when a request waits for something to happen."""
        deadline_s = time.monotonic() + 10
        while not any(self._waits(one) for one in list(self._server.server_state.connections)):
            assert time.monotonic() < deadline_s, "nobody waits"
            time.sleep(0.01)

    @staticmethod
    def _waits(connection: Any) -> bool:
        exchange = connection.cycle
        return exchange is not None and ATTENDED in (exchange.scope or {})

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


class RawConnection:
    """A client that sends what a test wants, however wrong it is."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=10)
        self._reader = self._socket.makefile("rb")

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *exc: object) -> None:
        self._reader.close()
        self._socket.close()

    def send_eof(self) -> None:
        """Say that nothing more will come."""
        self._socket.shutdown(socket.SHUT_WR)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_head(self, method: str, path: str, **headers: str) -> None:
        """Send a request up to its body; `content_length` becomes `content-length`."""
        sent = {"host": "test", **CALLER}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in sent.items()), "", ""]
        self.send("\r\n".join(lines).encode())

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and document of the next answer."""
        status = int(self._reader.readline().split()[1])
        headers = {}
        while line := self._reader.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self._reader.read(int(headers.get("content-length", 0)))
        is_json = headers.get("content-type") == "application/json"
        return status, headers, json.loads(body) if body and is_json else body

    def chunks(self, count: int) -> list[bytes]:
        """Return the next pieces of an answer that comes in pieces."""
        sizes = (int(self._reader.readline(), 16) for _ in range(count))
        return [self._reader.read(size + 2)[:-2] for size in sizes]

    def reset(self) -> None:
        """Be gone at once, without a farewell."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._reader.close()
        self._socket.close()

    def is_closed(self) -> bool:
        """Say whether the server has ended the connection; waits for it."""
        try:
            return self._reader.read(1) == b""
        except ConnectionResetError:
            return True
