"""Runs many `openstack` command lines in one process, because starting it takes seconds.

Reads one JSON list of arguments from each line of stdin, and answers each with one JSON list
of exit code, stdout and stderr on stdout.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

from openstackclient.shell import main


def run(arguments: list[str]) -> tuple[int, str, str]:
    """Run one command line as the command `openstack` does."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments) or 0
        except SystemExit as ex:
            code = int(ex.code or 0)
    return code, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()
