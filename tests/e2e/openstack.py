"""The real `openstack messaging` commands, many of them in one process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Run = Callable[..., Any]


@contextmanager
def openstack_session(credentials: Mapping[str, str]) -> Iterator[Run]:
    """Yield a function that runs one command line; it returns the output, parsed if JSON."""
    with subprocess.Popen(
        (sys.executable, "-m", "tests.e2e.openstack_session"),
        cwd=ROOT,
        env=credentials,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as session:
        assert session.stdin is not None
        assert session.stdout is not None

        def run(line: str, *more: str, fails: bool = False, parse: bool = True) -> Any:
            form = ("-f", "json") if parse else ()
            arguments = ["messaging", *line.split(), *more, *form]
            session.stdin.write(json.dumps(arguments) + "\n")
            session.stdin.flush()
            code, out, err = json.loads(session.stdout.readline())
            assert (code != 0) is fails, f"{arguments}: {out}{err}"
            return json.loads(out) if parse and not fails else out + err

        yield run
        session.stdin.close()
