"""Python environments of their own, for packages whose dependencies quarrel with ours.

Each is made once, which may take half a minute, and kept in `.tox`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import missing

ROOT = Path(__file__).parents[2]


class Environment:
    """A folder with a Python and some packages, once `prepare` has been called."""

    def __init__(self, name: str, *requirements: str) -> None:
        self.place = ROOT / ".tox" / f".{name}-{sys.implementation.cache_tag}"
        self.python = self.place / "bin" / "python"
        self._requirements = requirements

    def prepare(self, finish: Callable[[], None] = lambda: None) -> None:
        """Make sure that it is there; skip the test if it cannot be had, fail in CI.

        `finish` is called once the packages are installed, the first time.
        """
        self.place.parent.mkdir(exist_ok=True)
        made = self.place / "made"
        with self._alone():
            if made.exists():
                return
            shutil.rmtree(self.place, ignore_errors=True)
            if not self._install():
                missing(" ".join(self._requirements))
            finish()
            made.touch()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process at a time make it: tests run in several."""
        with self.place.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _install(self) -> bool:
        run(sys.executable, "-m", "venv", self.place).check_returncode()
        pip = (self.python, "-m", "pip", "install", "--quiet", "--no-compile")
        return run(*pip, *self._requirements).returncode == 0


def run(*command: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[bytes]:
    """Run a command that knows nothing of the versions that ours are held to."""
    environment = {k: v for k, v in os.environ.items() if k != "PIP_CONSTRAINT"}
    # NOTE: the time limit of a test ends this, too.
    return subprocess.run([str(part) for part in command], cwd=cwd, env=environment)
