"""The server under test: the installed command `nusku`, in a process group of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

START_S = 20.0
STOP_S = 30.0
PROJECT = "e2e"
CLIENT_ID = "3381af92-2b9e-11e3-b191-71861300734c"

_URL = re.compile(r"listens on (http://\S+:(\d+))\n")


def command(name: str) -> str:
    """Return the path of a command installed beside the running Python."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is not installed"
    return found


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of the tests without settings of Nusku or OpenStack."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUSKU_", "OS_"))}
    return {**kept, **(more or {})}


def eventually(check: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Return as soon as `check` holds; fail when it does not in time."""
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline, f"{what}: not within {within_s:g} s"
        time.sleep(0.02)


def _lives_in(group: int, stat: Path) -> bool:
    """Say whether a process is of the group, and no zombie. Source: proc(5)."""
    try:
        state, _, its_group, *_ = stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(its_group) == group and state != "Z"


class NuskuServer:
    """One `nusku serve`, which can be stopped, killed, and started again on its port."""

    def __init__(self, folder: Path, storage: str, *flags: str) -> None:
        self.folder = folder
        self.url = ""
        self._storage = storage
        self._flags = flags
        self._port = "0"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        """What it printed on stdout since it was last started."""
        return (self.folder / "out").read_text()

    @property
    def log(self) -> str:
        """What it logged on stderr, over all starts."""
        return (self.folder / "log").read_text()

    @property
    def pid(self) -> int:
        """The process id of the master."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> NuskuServer:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        place = ("--port", self._port, "--storage", self._storage)
        with (self.folder / "out").open("wb") as out, (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                (command("nusku"), "serve", *place, *self._flags),
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._says_its_url, within_s=START_S, what="nusku says where it listens")
        eventually(self.is_ready, within_s=START_S, what="nusku answers")
        return self

    def _says_its_url(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"nusku ended: {self.log[-2000:]}"
        if found := _URL.search(self.said):
            self.url, self._port = found.groups()
        return found is not None

    def is_ready(self) -> bool:
        """Say whether it answers, with the store at hand."""
        try:
            with self.client() as client:
                # A server with authentication does not tell strangers how it is.
                return client.get("/v2/health").status_code in (200, 401)
        except httpx.TransportError:
            return False

    def client(self, project: str = PROJECT) -> httpx.Client:
        """Return a client of one tenant; each has connections of its own."""
        headers = {"Client-ID": CLIENT_ID, "X-Project-ID": project}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the master alone."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Return the exit code once it has ended."""
        assert self._process is not None
        return self._process.wait(STOP_S)

    def stop(self) -> int:
        """End it with SIGTERM and return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End all its processes with SIGKILL, as a crash of the machine would."""
        if self._process is None:
            return
        group = self._process.pid
        if self._lives(group):
            os.killpg(group, signal.SIGKILL)
        self._process.wait(STOP_S)
        eventually(lambda: not self._lives(group), within_s=STOP_S, what="all processes end")
        self._process = None

    @staticmethod
    def _lives(group: int) -> bool:
        # NOTE: a dead worker whose master is dead counts as one of the group until the first
        # process of the machine has taken note, which may be seconds later.
        return any(_lives_in(group, stat) for stat in Path("/proc").glob("[0-9]*/stat"))

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]
