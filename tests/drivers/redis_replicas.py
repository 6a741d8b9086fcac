"""A Redis master with a replica and a Sentinel that replaces the one by the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from redis.exceptions import ResponseError

from tests.servers.process import START_S, ServerFailed
from tests.servers.redis import RedisServer, redis_binary

MASTER_NAME = "orders"


class Sentinel(RedisServer):
    """One Sentinel, whose word is enough."""

    def __init__(self, folder: Path, master: RedisServer) -> None:
        super().__init__(folder)
        self._master = master

    def command(self) -> Sequence[str]:
        settings = (
            f"port {self.port}",
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {self._master.port} 1",
            f"sentinel down-after-milliseconds {MASTER_NAME} 300",
            f"sentinel failover-timeout {MASTER_NAME} 3000",
        )
        file = self.folder / "sentinel.conf"
        file.write_text("\n".join(settings))
        binary = redis_binary()
        assert binary, "check redis_binary() before starting a Sentinel"
        return (binary, str(file), "--sentinel")


class Replicas:
    """A master, its replica and a Sentinel."""

    def __init__(self, folder: Path) -> None:
        at_once = ("--repl-diskless-sync-delay", "0")
        self.master = RedisServer(folder / "master", *at_once)
        self.replica = RedisServer(folder / "replica", *at_once)
        self.sentinel = Sentinel(folder / "sentinel", self.master)

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/{MASTER_NAME}/0"

    def start(self) -> None:
        """Start all and wait until the Sentinel knows the replica, which has all data."""
        self.master.start()
        self.replica.start()
        with self.replica.connect() as connection:
            connection.replicaof("127.0.0.1", str(self.master.port))
        self.sentinel.start()
        self._wait(lambda: self._knows_replica() and self._is_linked())

    def _knows_replica(self) -> bool:
        with self.sentinel.connect() as connection:
            state = connection.sentinel_masters()[MASTER_NAME]
        return bool(state["num-slaves"] == 1)

    def _is_linked(self) -> bool:
        with self.replica.connect() as connection:
            return bool(connection.info("replication")["master_link_status"] == "up")

    def fail_over(self) -> None:
        """Kill the master and wait until the replica has taken its place."""
        self.master.kill()
        self._wait(self._is_promoted)

    def switch_over(self) -> None:
        """Make the two change places, and wait until both know."""
        self._wait(self._agrees_to_switch)
        self._wait(lambda: self._is_promoted() and self._is_demoted())

    def _agrees_to_switch(self) -> bool:
        with self.sentinel.connect() as sentinel:
            try:
                return bool(sentinel.sentinel_failover(MASTER_NAME))
            except ResponseError as ex:
                # It has not heard enough of the replica yet.
                if "NOGOODSLAVE" in str(ex):
                    return False
                raise

    def _is_demoted(self) -> bool:
        with self.master.connect() as master:
            return bool(master.role()[0] == "slave")

    def _is_promoted(self) -> bool:
        with self.sentinel.connect() as sentinel, self.replica.connect() as replica:
            _, port = sentinel.sentinel_get_master_addr_by_name(MASTER_NAME)
            return port == self.replica.port and replica.role()[0] == "master"

    def kill(self) -> None:
        for server in (self.sentinel, self.replica, self.master):
            server.kill()

    @staticmethod
    def _wait(is_done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_S
        while not is_done():
            if time.monotonic() > deadline:
                raise ServerFailed("the replicas did not become what was asked for")
            time.sleep(0.05)
