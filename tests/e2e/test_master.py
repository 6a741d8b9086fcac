"""The master process and its workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# A server whose first worker gets a SIGTERM between its fork and its own signal handlers,
# and which ends when that worker does.
PROGRAM = """
import os, signal
from queues.config import Settings
from transport.listener import listen
from transport.server import Server

def post_fork(arbiter, worker):
    if worker.age == 1:
        os.kill(os.getpid(), signal.SIGTERM)

def child_exit(arbiter, worker):
    os.kill(os.getpid(), signal.SIGTERM)

class Watched(Server):
    def load_config(self):
        super().load_config()
        self.cfg.set("post_fork", post_fork)
        self.cfg.set("child_exit", child_exit)

Watched(Settings(storage="sqlite:///q.db"), listen("127.0.0.1", 0)).run()
"""


def test_a_signal_to_a_worker_that_is_just_being_forked_is_not_lost(tmp_path: Path) -> None:
    result = subprocess.run((sys.executable, "-c", PROGRAM), cwd=tmp_path, timeout=30)
    assert result.returncode == 0
