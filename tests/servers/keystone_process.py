"""Runs in Keystone's own environment, in its folder: fill a new database, or serve it.

Everything is in one process, so that killing and pausing it concerns all of Keystone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from socket import SO_REUSEADDR, SOL_SOCKET
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

CONFIGURATION = """\
[DEFAULT]
transport_url = fake://
use_stderr = true
[oslo_messaging_notifications]
driver = noop
[database]
connection = sqlite:///keystone.db
[fernet_tokens]
key_repository = fernet
[fernet_receipts]
key_repository = fernet
[credential]
key_repository = fernet
[identity]
password_hash_rounds = 4
[cache]
enabled = false
"""


class ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        # NOTE: the inherited one looks its own name up: seconds, where no name server answers.
        self.socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address[:2]
        self.setup_environ()


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def seed(password: str) -> None:
    from cryptography.fernet import Fernet
    from keystone.cmd import cli

    Path("keystone.conf").write_text(CONFIGURATION)
    keys = Path("fernet")
    keys.mkdir(0o700)
    for number in range(2):
        key = keys / str(number)
        key.touch(0o600)
        key.write_bytes(Fernet.generate_key())
    for command in (("db_sync",), ("bootstrap", "--bootstrap-password", password)):
        cli.CONF.clear()  # what the command before has parsed
        cli.main(["keystone-manage", "--config-file", "keystone.conf", *command])


def serve(port: int) -> None:
    from keystone.server.wsgi import initialize_public_application

    os.environ["OS_KEYSTONE_CONFIG_DIR"] = str(Path.cwd())
    del sys.argv[1:]  # Keystone would take them for its own
    server = ThreadingServer(("127.0.0.1", port), Quiet)
    server.set_app(initialize_public_application())
    server.serve_forever()


if __name__ == "__main__":
    verb, argument = sys.argv[1:]
    seed(argument) if verb == "seed" else serve(int(argument))
