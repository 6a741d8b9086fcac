"""Zaqar, from its package in an environment of its own, served as its users serve it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from bench.client import LoadFailed
from bench.service import Service

INSTALL_S = 900

#: Threads of gunicorn's one worker.
THREADS = 8

_CONFIGURATION = """\
[DEFAULT]
# Without this Zaqar insists on a replica set of MongoDB.
unreliable = True
auth_strategy =
[drivers]
transport = wsgi
message_store = redis
management_store = redis
[drivers:message_store:redis]
uri = {url}
[drivers:management_store:redis]
uri = {url}
[oslo_policy]
enforce_scope = False
enforce_new_defaults = False
"""


def install(package: str, folder: Path) -> Path:
    """Install Zaqar with gunicorn, unless it is there; return the folder of its commands.

    Raises: LoadFailed with the end of what pip says.
    """
    commands = folder / "bin"
    if (commands / "zaqar-server").exists():
        return commands
    print(f"installing {package} into {folder}", flush=True)
    _call([sys.executable, "-m", "venv", str(folder)])
    pip = [str(commands / "python"), "-m", "pip", "install", "--quiet"]
    # setuptools: some of what Zaqar needs still asks for pkg_resources.
    _call([*pip, package, "gunicorn", "redis", "setuptools<81"])
    return commands


def installed(commands: Path) -> dict[str, str]:
    """Return the versions of what answers in Zaqar's place."""
    wanted = ("zaqar", "falcon", "gunicorn", "redis")
    code = (
        "import sys; from importlib.metadata import version\n"
        "for name in sys.argv[1:]: print(name, version(name))"
    )
    said = _call([str(commands / "python"), "-c", code, *wanted])
    return dict(line.split(" ", 1) for line in said.splitlines())


def zaqar(commands: Path, folder: Path, url: str, *, cores: Collection[int]) -> Service:
    """Return a Zaqar on the Redis at `url`: one gunicorn worker with threads."""
    home = folder / "home"
    place = home / ".zaqar"
    place.mkdir(parents=True, exist_ok=True)
    # Zaqar's application takes its configuration from standard places only.
    (place / "zaqar.conf").write_text(_CONFIGURATION.format(url=url), encoding="utf-8")
    command = (
        *(str(commands / "gunicorn"), "--bind", "127.0.0.1:{port}", "--workers", "1"),
        *("--worker-class", "gthread", "--threads", str(THREADS), "--keep-alive", "75"),
        *("--log-level", "warning", "zaqar.transport.wsgi.app:app"),
    )
    environment = {"HOME": str(home), "PATH": f"{commands}{os.pathsep}{os.defpath}"}
    return Service(command, folder, path="/v2/ping", cores=cores, environment=environment)


def _call(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired as ex:
        raise LoadFailed(f"{' '.join(command)}: took more than {INSTALL_S} s") from ex
    if done.returncode:
        raise LoadFailed(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout
