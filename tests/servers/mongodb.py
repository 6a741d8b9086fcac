"""A server of the MongoDB wire protocol.

NOTE: nx-27017 stores in SQLite and is not mongod: what is shown on it about speed or
durability says nothing about MongoDB. `NUSKU_TEST_MONGODB_URL` names a real one to use.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError

from tests.servers.process import Server


def external_mongodb() -> str | None:
    """Return the URL of a MongoDB that the user provides, without a database, or None."""
    return os.environ.get("NUSKU_TEST_MONGODB_URL") or None


def mongodb_binary() -> str | None:
    """Return the path of nx-27017: beside the running Python, else on PATH."""
    beside = Path(sys.executable).parent / "nx-27017"
    return str(beside) if beside.exists() else shutil.which("nx-27017")


def connect(url: str, **options: int) -> pymongo.MongoClient[dict[str, object]]:
    """Return a plain client of the server, to be used as a context manager."""
    return pymongo.MongoClient(url, **options)  # type: ignore[arg-type]


class MongoServer(Server):
    """One nx-27017 with a file for each database."""

    @property
    def url(self) -> str:
        """The URL of the server, without a database."""
        return f"mongodb://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        binary = mongodb_binary()
        assert binary, "check mongodb_binary() before starting a MongoServer"
        place = ("--host", "127.0.0.1", "--port", str(self.port))
        files = [
            item
            for option, name in (
                ("--data-dir", "data"),
                ("--log-file", "nx.log"),
                ("--pid-file", "nx.pid"),
            )
            for item in (option, str(self.folder / name))
        ]
        return (binary, *place, *files)

    def is_ready(self) -> bool:
        try:
            with connect(self.url, serverSelectionTimeoutMS=100) as connection:
                return bool(connection.admin.command("ping")["ok"])
        except PyMongoError:
            return False
