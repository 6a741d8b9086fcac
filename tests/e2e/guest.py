"""What runs inside of machines that Heat starts: its real agents.

`os-collect-config` fetches what the machine is to do, `cfn-signal` tells how that went, and
heat-config-notify does so with a client of the API of old, version 1.1.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.e2e.nusku import environment
from tests.servers.environment import Environment

#: The last one that still knows version 1.1 of the API.
AGENTS = Environment(
    "guests",
    "heat-cfntools==2.0.0",
    "os-collect-config==14.1.0",
    "python-zaqarclient==3.0.1",
    "websocket-client==1.9.2",
)

#: Log everything to stderr: left to itself, cfn-signal writes to /var/log.
_LOGGED = """\
import logging, runpy, sys
sys.argv = sys.argv[1:]
logging.basicConfig(level=logging.DEBUG)
runpy.run_path(sys.argv[0], run_name="__main__")
"""

#: As heat-config-notify does it, which is in no package.
_NOTIFY = """\
import json, sys
from zaqarclient.queues.v1 import client as zaqarclient
endpoint, project, queue_id, signal = sys.argv[1:]
options = {"os_project_id": project, "insecure": False}
conf = {"auth_opts": {"backend": "noauth", "options": options}}
cli = zaqarclient.Client(endpoint, conf=conf, version=1.1)
queue = cli.queue(queue_id)
queue.post({"body": json.loads(signal), "ttl": 600})
"""


def cfn_signal(url: str, *flags: str) -> int:
    """Run cfn-signal and return its exit code."""
    script = AGENTS.place / "bin" / "cfn-signal"
    return _run("-c", _LOGGED, str(script), *flags, url).returncode


def notify(endpoint: str, project: str, queue: str, signal: str) -> None:
    """Signal by a queue, as agents do to whom Heat says ZAQAR_SIGNAL."""
    done = _run("-c", _NOTIFY, endpoint, project, queue, signal)
    assert done.returncode == 0, done.stderr


def collect(folder: Path, *flags: str) -> tuple[str, str]:
    """Run os-collect-config once, and return what it prints and what it logs."""
    done = _run(*_collector(folder, *flags))
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def collect_when_told(folder: Path, line: str, tell: Callable[[], None], *flags: str) -> str:
    """Run it once, `tell` when it logs a line, and return what it prints."""
    command = (str(AGENTS.python), "-c", _LOGGED, *_collector(folder, *flags))
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        log = []
        for logged in running.stderr:
            log.append(logged)
            if line in logged:
                tell()
                break
        printed, rest = running.communicate(timeout=60)
        assert running.returncode == 0, "".join(log) + rest
        return printed


def _collector(folder: Path, *flags: str) -> tuple[str, ...]:
    script = str(AGENTS.place / "bin" / "os-collect-config")
    cache = ("--cachedir", str(folder), "--backup-cachedir", str(folder / "backup"))
    return script, "--print", "--one-time", *cache, *flags, "zaqar"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = (str(AGENTS.python), *arguments)
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
