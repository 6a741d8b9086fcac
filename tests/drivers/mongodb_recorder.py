"""Every command that this process sends to MongoDB, as the client library reports it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pymongo import monitoring
from pymongo.monitoring import CommandListener
from pymongo.uri_parser import parse_uri

from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle
from tests.drivers.mongodb_storage import opened

#: Commands of the library, not of the driver.
_BACKGROUND = frozenset({"hello", "ismaster", "isMaster", "ping", "endSessions"})

Command = dict[str, Any]


class _Recorder(CommandListener):
    """Keeps the commands on databases that somebody watches."""

    def __init__(self) -> None:
        self.watched: dict[str, list[Command]] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        commands = self.watched.get(event.database_name)
        if commands is not None and event.command_name not in _BACKGROUND:
            commands.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to note."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to note."""


_RECORDER = _Recorder()
monitoring.register(_RECORDER)


@contextmanager
def recorded(url: str) -> Iterator[list[Command]]:
    """Give the commands on the database of the URL within the block, as they come."""
    database = str(parse_uri(url)["database"])
    commands = _RECORDER.watched[database] = []
    try:
        yield commands
    finally:
        del _RECORDER.watched[database]


def short(command: Command) -> str:
    """Return "command collection"."""
    name, collection = next(iter(command.items()))
    return f"{name} {collection}"


@asynccontextmanager
async def used_queue(url: str) -> AsyncIterator[tuple[QueueHandle, list[Command]]]:
    """Give the queue `orders`, which its process has used before, and the commands after that.

    Leaving the block ends the process, and so what it does in the background.
    """
    with recorded(url) as commands:
        async with opened(url) as driver:
            queue = QueueHandle(driver, MovableClock())
            await queue.create()
            await queue.post()
            await queue.everything()
            commands.clear()
            yield queue, commands
