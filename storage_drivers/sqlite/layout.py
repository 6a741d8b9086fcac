"""Where things are: the file behind a URL, and the SQL that knows tables and columns.

`scripts/NNNN_*.sql` are the migrations, every other script holds named statements of a noun.
A statement begins with a line `-- name: <name> (<arguments>)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

from queues.errors import ConfigurationError

#: "Nusk": the application id in the header of the file.
APPLICATION_ID = 0x4E75736B

READY, DELAYED, CLAIMED = range(3)

#: A due time that never comes: the largest number in a column.
NEVER_MS = 2**63 - 1

#: A longer body has a row of its own. A row up to this fits into a page of the file.
INLINE_BODY_BYTES = 3500

#: The columns that `codec.to_message` reads, in its order.
_MESSAGE = (
    "seq, posted_ms, ttl_s, expires_ms,"
    " ifnull(body, (SELECT bodies.body FROM bodies WHERE bodies.seq = messages.seq)),"
    " media, claim_id, claim_count, visible_ms, dead_letter, number"
)
#: The length of a body. PERF: SQLite reads no byte of it.
_BODY_BYTES = (
    "ifnull(length(body),"
    " (SELECT length(bodies.body) FROM bodies WHERE bodies.seq = messages.seq))"
)
_NAME = re.compile(r"^-- name: (\w+) .*$", re.MULTILINE)
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
_SCRIPTS = files("storage_drivers.sqlite") / "scripts"


def statements(noun: str) -> Mapping[str, str]:
    """Return the named statements of `scripts/<noun>.sql`."""
    text = (_SCRIPTS / f"{noun}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return {
        name: _COMMENT.sub("", sql)
        .strip()
        .rstrip(";")
        .replace("{message}", _MESSAGE)
        .replace("{body_bytes}", _BODY_BYTES)
        for name, sql in zip(parts[::2], parts[1::2], strict=True)
    }


def migrations() -> Mapping[int, str]:
    """Return the migration scripts by number, ascending."""
    names = sorted(entry.name for entry in _SCRIPTS.iterdir() if entry.name[:4].isdigit())
    return {int(name[:4]): (_SCRIPTS / name).read_text(encoding="utf-8") for name in names}


def database_path(url: str) -> Path:
    """Return the file of a URL: `sqlite:///relative.db` or `sqlite:////absolute.db`.

    Raises: ConfigurationError when the URL names no file, or has parts that mean nothing here.
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise ConfigurationError(
            "storage sqlite://: the URL takes no parameters; drop what follows '?' or '#'"
        )
    path = unquote(parts.path.removeprefix("/"))
    if parts.netloc or not path or path == ":memory:" or "\0" in path:
        raise ConfigurationError(
            "storage sqlite://: name a file, as in sqlite:///relative/nusku.db"
            " or sqlite:////absolute/nusku.db"
        )
    return Path(path)
