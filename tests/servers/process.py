"""A server process that a test can start, kill, pause and restart on the same data."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import pytest

START_S = 20.0
_TRIES = 3


class ServerFailed(Exception):
    """The server did not start or did not answer in time; the text ends with its log."""


def missing(what: str) -> None:
    """Skip the test because a server is not installed; fail instead when `CI` is set."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI must not skip")
    pytest.skip(f"{what} is not installed")


def free_port() -> int:
    """Return a port on which nothing listens, and nothing on the one 10,000 above it.

    A Redis Cluster node uses both. The range is below the one that the kernel takes
    ports of outgoing connections from.
    """
    while True:
        port = random.randrange(15_000, 22_000)
        if _is_free(port) and _is_free(port + 10_000):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Server(ABC):
    """One server process with its data under `folder`.

    The port is chosen by the first `start` and kept. The methods block until the server
    is in the new state, for `start_s` seconds at the most.
    """

    start_s = START_S

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the command line that serves `self.port` from `self.folder`."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Say whether the server answers; called again until it does."""

    @property
    def log(self) -> Path:
        """The file with everything that the server printed."""
        return self.folder / "server.log"

    def start(self) -> None:
        """Start the server on its data and wait until it answers. Raises ServerFailed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tries = 1 if self.port else _TRIES
        for last in range(1, tries + 1):
            try:
                return self._start_once(self.port or free_port())
            except ServerFailed:
                if last == tries:
                    raise
        return None

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would. No error if it is not running."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Kill the server and start it again on the same port and data."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Make the server hang: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal(signal.SIGCONT)

    def _start_once(self, port: int) -> None:
        chosen, self.port = self.port, port
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait_until_ready()
        except ServerFailed:
            self.kill()
            self.port = chosen
            raise

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.start_s
        while not self.is_ready():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = self.log.read_text(errors="replace")[-2000:]
                raise ServerFailed(f"{self.command()[0]} on port {self.port}:\n{log}")
            time.sleep(0.01)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "the server is not running"
        self._process.send_signal(number)
