"""Servers under load: started on cores of their own, on a free port, until they answer."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from bench.client import LoadFailed
from bench.processes import children, pinned
from tests.servers.process import free_port

START_S = 30.0
STOP_S = 15.0


class Service:
    """A process, its workers, and the address at which it answers.

    `{port}` in the command is replaced by a free port. It is ready when a GET of `path`
    brings any answer below 500.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        path: str,
        cores: Collection[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Be ready to start in `folder`."""
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        self._command = [part.replace("{port}", str(port)) for part in command]
        self._folder = folder
        self._path = path
        self._cores = cores
        self._environment = {**_plain_environment(), **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Service:
        """Start, and wait until it answers. Raises: LoadFailed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with pinned(self._cores), self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        """End it, gently first."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers."""
        assert self._process is not None, "it is not running"
        return children(self._process.pid)

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + START_S
        while not self._answers():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                log = self._log.read_text(errors="replace")[-3000:]
                raise LoadFailed(f"{self._command[0]} does not answer:\n{log}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.host, timeout=2)
        headers = {"Client-ID": "3381af92-2b9e-11e3-b191-71861300734c", "X-Project-ID": "bench"}
        try:
            connection.request("GET", self._path, headers=headers)
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _plain_environment() -> dict[str, str]:
    """Return the environment without settings of the services, with this Python in front."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUSKU_", "OS_"))}
    beside = str(Path(sys.executable).parent)
    return {**kept, "PATH": f"{beside}{os.pathsep}{kept.get('PATH', os.defpath)}"}


def nusku(
    folder: Path,
    storage: str,
    *,
    workers: int = 1,
    cores: Collection[int] = (),
    settings: Mapping[str, str] | None = None,
) -> Service:
    """Return a Nusku of this tree on a store."""
    command = (
        *(sys.executable, "-c", "import sys; from transport.cli import main; sys.exit(main())"),
        *("serve", "--port", "{port}", "--storage", storage),
        *("--workers", str(workers), "--log-level", "warning"),
    )
    environment = {**_this_tree(), **(settings or {})}
    return Service(command, folder, path="/v2/health", cores=cores, environment=environment)


def bare(folder: Path, *, workers: int = 1, cores: Collection[int] = ()) -> Service:
    """Return the bare application of `bench.ceiling` under the same kind of server."""
    command = (sys.executable, "-m", "bench.ceiling", "{port}", str(workers))
    return Service(command, folder, path="/", cores=cores, environment=_this_tree())


def _this_tree() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(__file__).parent.parent)}
