"""The command `nusku`."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import uuid
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from queues.config import Settings, load
from queues.errors import (
    ConfigurationError,
    CredentialNotFound,
    Forbidden,
    InvalidRequest,
    StorageUnavailable,
)
from transport import logs, token_commands
from transport.listener import CannotListen, listen, url_of
from transport.server import serve
from transport.trial import try_settings

#: Exit codes.
FAILED = 1
MISUSED = 2
INTERRUPTED = 130

_FLAGS = ("host", "port", "storage", "workers", "insecure", "log_level")


class OneLineParser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with the message, and without the usage."""
        sys.exit(_complain(f"{message} (see {self.prog} --help)", MISUSED))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; what goes wrong is said in one line."""
    flags = _parser().parse_args(arguments)
    try:
        flags.run_command(flags)
    except (ConfigurationError, InvalidRequest, Forbidden, CredentialNotFound) as ex:
        return _complain(str(ex), MISUSED)
    except (StorageUnavailable, CannotListen) as ex:
        return _complain(str(ex), FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="nusku", description="A message queue service over HTTP.")
    parser.add_argument("--version", action="version", version=f"nusku {version('nusku')}")
    commands = parser.add_subparsers(dest="command", required=True)
    token_commands.add_commands(commands, run=_token)
    command = commands.add_parser(
        "serve",
        help="serve the queues over HTTP until SIGTERM",
        epilog="Every setting can also be given as NUSKU_<NAME> or in the file.",
    )
    default = Settings()
    add = command.add_argument
    add("--host", help=f"address to listen on (default: {default.host})")
    add("--port", type=int, help=f"0 takes any free one (default: {default.port})")
    add("--storage", metavar="URL", help=f"where to store (default: {default.storage})")
    add("--workers", type=int, help=f"number of processes (default: {default.workers})")
    add("--config", metavar="FILE", help="TOML file with settings")
    add(
        "--insecure",
        action="store_true",
        default=None,
        help="allow anybody who reaches a public address to use every queue",
    )
    add("--log-level", help=f"debug, info, warning or error (default: {default.log_level})")
    command.set_defaults(run_command=_serve)
    return parser


def _token(flags: argparse.Namespace) -> None:
    settings = load({"storage": flags.storage}, os.environ, flags.config)
    logs.configure(settings.log_level)
    token_commands.run(flags, settings)


def _serve(flags: argparse.Namespace) -> None:
    given = {name: getattr(flags, name) for name in _FLAGS}
    settings = load(given, os.environ, flags.config)
    logs.configure(settings.log_level)
    listener = listen(settings.host, settings.port)
    try_settings(settings)
    sys.stdout.write(welcome(settings, listener))
    sys.stdout.flush()
    serve(settings, listener)


def welcome(settings: Settings, listener: socket.socket) -> str:
    """Return what a newcomer wants to know: where it listens and stores, and what to try."""
    url = url_of(listener)
    believed = settings.auth_strategy == "none"
    proof = "X-Project-ID: demo" if believed else "X-Auth-Token: $TOKEN"
    return (
        f"Nusku {version('nusku')} listens on {url}\n"
        f"It stores in {_place(settings)}\n"
        "Post a first message:\n"
        f"  curl -i {url}/v2/queues/demo/messages -H 'Client-ID: {uuid.uuid4()}' \\\n"
        f"    -H \"{proof}\" -H 'Content-Type: application/json' \\\n"
        """    -d '{"messages": [{"body": "Hello", "ttl": 300}]}'\n"""
    )


def _place(settings: Settings) -> str:
    shown = settings.storage_without_secret()
    scheme, _, path = shown.partition(":///")
    return str(Path(path).absolute()) if scheme == "sqlite" else shown


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"nusku: {' '.join(text.split())}\n")
    return code
