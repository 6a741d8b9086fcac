"""The workers of one server share what clients ask of it."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.conftest import Serve
from tests.e2e.nusku import NuskuServer, eventually


def _connections(server: NuskuServer, pid: int) -> int:
    """Return how many established connections of its port a process has. Source: proc(5)."""
    port = f":{int(server.url.rpartition(':')[2]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {fields[9] for fields in lines if fields[1].endswith(port) and fields[3] == "01"}
    links = [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()]
    return sum(bool(inodes.intersection(re.findall(r"socket:\[(\d+)\]", one))) for one in links)


def test_connections_that_are_opened_at_once_are_shared_by_the_workers(
    serve: Serve, sqlite_file: Path
) -> None:
    server = serve(f"sqlite:///{sqlite_file}", "--workers", "2")
    # Until both have begun to accept, one has them all.
    eventually(lambda: min(_parts(server)) >= 15, within_s=20, what="both have their part")


def _parts(server: NuskuServer) -> list[int]:
    """Open forty connections, and return how many each worker has got."""
    address = "127.0.0.1", int(server.url.rpartition(":")[2])

    def parts() -> list[int]:
        return [_connections(server, pid) for pid in server.workers()]

    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(socket.create_connection(address))
        eventually(lambda: sum(parts()) == 40, within_s=10, what="all are accepted")
        return parts()
