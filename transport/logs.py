"""Log lines: one format on stderr for Nusku, gunicorn, uvicorn and Falcon.

    2026-01-31T12:00:00.123Z level=warning pid=7 logger=nusku.sweep msg="sweep skipped: ..."

SECURITY: requests are not logged, so neither bodies nor tokens can be; storage URLs are
shown by `Settings.storage_without_secret` only.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from gunicorn.config import Config
from gunicorn.glogging import Logger

#: Libraries whose everyday messages say nothing to an operator.
_NOISY = ("gunicorn.error", "uvicorn.error", "asyncio", "pymongo")


class LineFormatter(logging.Formatter):
    """Renders a record as one line, followed by the traceback if there is one."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line; the message is quoted, so no input can forge a second one."""
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        message = _quoted(record.message)
        return (
            f"{moment[:-3]}Z level={record.levelname.lower()} pid={record.process} "
            f"logger={record.name} msg={message}{_fields(record)}"
        )


def _fields(record: logging.LogRecord) -> str:
    """Return what a record says beside its message, each value as JSON."""
    given = getattr(record, "fields", {})
    return "".join(
        f" {name}={_quoted(value)}" for name, value in given.items() if value is not None
    )


def _quoted(value: object) -> str:
    """Return the value as JSON.

    SECURITY: some characters end a line for whoever reads the log, or move the cursor of a
    terminal, though JSON may hold them as they are.
    """
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value).replace("\x7f", "\\u007f")


def configure(level: str) -> None:
    """Send what is at `level` or above to stderr; libraries speak up from warnings on."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Whoever wants fewer lines still wants these.
    logging.getLogger("nusku.audit").setLevel(logging.INFO)
    for name in _NOISY:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(level.upper() if level == "debug" else logging.WARNING)


class GunicornLogger(Logger):
    """Gunicorn's logger, writing lines like everybody else."""

    def setup(self, cfg: Config) -> None:
        """Take over the level of the configuration, and nothing else."""
        self.cfg = cfg
        configure(cfg.loglevel)
