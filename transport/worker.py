"""The worker process: uvicorn under gunicorn, and how it lets go when it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from gunicorn.arbiter import Arbiter
from uvicorn.config import Config
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from transport import draining
from transport.acceptor import Acceptor
from transport.connection import Connection
from transport.tally import Share, Tally

#: Signals that gunicorn sends to a worker to end it.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

#: Gunicorn kills this long after a worker should have cut off the last request.
KILL_AFTER_S = 5

#: For so long a stopping worker answers new requests, each with `Connection: close`.
FAREWELL_S = 0.5

#: PERF: requests leave little to collect; looking after every 700 objects, as Python does,
#: took a twentieth of the time of a post (`python -m bench profile`).
_YOUNG_OBJECTS = 10_000

_log = logging.getLogger("nusku.server")


class DrainingServer(Server):
    """A uvicorn server that stops without dropping a request.

    For a moment it goes on to answer, so that clients with a connection at hand learn that
    it ends instead of writing into a closed one; then it waits for requests in flight for
    `drain_s` seconds at the most, and cuts off the rest.
    """

    def __init__(
        self,
        config: Config,
        listeners: Sequence[socket.socket],
        *,
        share: Share,
        drain_s: float,
        master_pid: int,
    ) -> None:
        """Stop by itself, too, when `master_pid` is no longer the parent."""
        super().__init__(config)
        self._listeners = listeners
        self._share = share
        self._drain_s = drain_s
        self._master_pid = master_pid
        self._acceptor: Acceptor | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second SIGINT stops at once."""
        self.force_exit = self.force_exit or (self.should_exit and sig == signal.SIGINT)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer.

        PERF: what is there by now stays for good. Left out of garbage collections, it does
        not hold up a request for 40 ms every few seconds (bench/neighbours.py).
        """
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS)
        self._acceptor = Acceptor(
            self._listeners,
            self._connection,
            count=lambda: len(self.server_state.connections),
            share=self._share,
        )

    def _connection(self) -> Connection:
        return Connection(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def on_tick(self, counter: int) -> bool:
        """Say whether it is time to stop."""
        if os.getppid() != self._master_pid and not self.should_exit:
            _log.error("the master process is gone, so this worker stops")
            return True
        if self._acceptor is not None:
            self._acceptor.say()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go of who waits, connections, requests and the application, in this order."""
        draining.begin(self.lifespan.state)
        await self._bid_farewell()
        if self._acceptor is not None:
            self._acceptor.close()
        cut_off = asyncio.get_running_loop().call_later(self._drain_s, self._cut_off)
        await super().shutdown([*self._listeners])
        cut_off.cancel()

    async def _bid_farewell(self) -> None:
        state, loop = self.server_state, asyncio.get_running_loop()
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        deadline = loop.time() + min(FAREWELL_S, self._drain_s)
        # Uvicorn tells nobody when the last connection ends.
        while state.connections and loop.time() < deadline and not self.force_exit:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def _cut_off(self) -> None:
        unfinished = list(self.server_state.connections)
        _log.warning("%d requests took too long and were cut off", len(unfinished))
        for connection in unfinished:
            connection.transport.abort()


class Worker(UvicornWorker):
    """Gunicorn's handle on one server process."""

    # Made when the master process imports this, so all workers have the same.
    TALLY = Tally()

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012 (declared so by the base class)
        "loop": "uvloop",
        "http": Connection,
        # NOTE: `Connection` itself decides what becomes a WebSocket.
        "ws": "none",
        # SECURITY: a compressed frame of some bytes can fill the memory; and who can choose a
        # part of what is compressed can guess the rest.
        "ws_per_message_deflate": False,
        # Less than the idle time-out of common proxies; who is silent for both is gone.
        "ws_ping_interval": 20.0,
        "ws_ping_timeout": 20.0,
        "lifespan": "on",
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Prepare, before the fork."""
        super().__init__(*args, **kwargs)
        # The base class gives uvicorn handlers of its own; see transport/logs.py.
        self.log.setup(self.cfg)

    def init_signals(self) -> None:
        """Take signals again, which `transport.server.Master` holds back around the fork."""
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        drain_s = max(self.cfg.graceful_timeout - KILL_AFTER_S, 1)
        server = DrainingServer(
            self.config,
            self.sockets,
            share=self.TALLY.share(self.age),
            drain_s=drain_s,
            master_pid=self.ppid,
        )
        # Gunicorn passes its own SIGINT on as SIGQUIT.
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGQUIT, server.handle_exit, signal.SIGQUIT, None
        )
        await server.serve(sockets=[])
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
