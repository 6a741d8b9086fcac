"""Gunicorn inside: the master process with its workers on one listening socket."""

from __future__ import annotations

import logging
import math
import signal
import socket
from functools import partial
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from queues.config import Settings
from transport.composition import compose
from transport.logs import GunicornLogger
from transport.standby import Standby
from transport.worker import KILL_AFTER_S, STOP_SIGNALS, Worker

#: Longer than the idle time-out of common proxies, so that it is them who close.
KEEP_ALIVE_S = 75

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 (a file without a name is made in it)

_log = logging.getLogger("nusku.server")


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """Return the settings of gunicorn that serve `settings`, except where to listen."""
    slowest_s = max(settings.drain_timeout_s, settings.storage_timeout_s)
    options: dict[str, Any] = {
        "workers": settings.workers,
        "worker_class": Worker,
        "logger_class": GunicornLogger,
        "loglevel": settings.log_level,
        "keepalive": KEEP_ALIVE_S,
        "graceful_timeout": math.ceil(settings.drain_timeout_s) + KILL_AFTER_S,
        # A worker whose event loop hangs for so long is replaced.
        "timeout": 30 + math.ceil(slowest_s),
        # SECURITY: no second way in.
        "control_socket_disable": True,
        "proc_name": "nusku",
    }
    if Path(_SHARED_MEMORY).is_dir():
        # The heartbeat of a worker must not wait for a disk.
        options["worker_tmp_dir"] = _SHARED_MEMORY
    return options


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve on `listener` until SIGTERM or SIGINT, then drain and leave with SystemExit."""
    Server(settings, listener).run()


class Server(BaseApplication):
    """What gunicorn needs to know."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        """Take over `listener`."""
        self._settings = settings
        self._fd = listener.detach()
        super().__init__()

    def load_config(self) -> None:
        """Tell gunicorn how to serve. Called again for a reload by SIGHUP."""
        options = {**gunicorn_options(self._settings), "bind": f"fd://{self._fd}"}
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Standby:
        """Return the application. Called in each worker, after the fork."""
        return Standby(partial(compose, self._settings))

    def run(self) -> None:
        """Be the master process."""
        Master(self).run()


class Master(Arbiter):
    """Gunicorn's master process."""

    def spawn_worker(self) -> Any:
        """Fork a worker without losing a signal that is sent to it meanwhile.

        A child has the handlers of the master until it sets its own, and these would take
        a SIGTERM and do nothing; the master would then wait for the whole drain time.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def handle_int(self) -> None:
        """Drain on SIGINT, as on SIGTERM; a second one is for the impatient."""
        self.handle_term()

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Drain, end all workers, and leave with SystemExit."""
        _log.info("stopping: requests in flight may finish")
        super().halt(reason, exit_status)
