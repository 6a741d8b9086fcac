"""Find out before serving whether the settings will do and the store can be used.

The attempt is made in a process of its own, because drivers start threads, event loops and
connections, and none of them may exist when gunicorn forks its workers.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
from multiprocessing.connection import Connection

from queues.clock import SystemClock
from queues.config import Settings
from queues.errors import ConfigurationError, NuskuError, StorageUnavailable
from transport import composition

#: How much longer than one call to the store the whole attempt may take.
_PATIENCE = 4

_REASONS: dict[str, type[NuskuError]] = {
    kind.code: kind for kind in (ConfigurationError, StorageUnavailable)
}


def try_settings(settings: Settings) -> None:
    """Put the service together, and open and close its store once.

    Raises: ConfigurationError, StorageUnavailable.
    """
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    attempt = fork.Process(target=_attempt, args=(settings, sender))
    attempt.start()
    sender.close()
    try:
        _judge(receiver, timeout_s=settings.storage_timeout_s * _PATIENCE + 5)
    finally:
        attempt.kill()
        attempt.join()
        attempt.close()
        receiver.close()


def _judge(receiver: Connection, *, timeout_s: float) -> None:
    if not receiver.poll(timeout_s):
        raise StorageUnavailable(f"the store did not open within {timeout_s:g} s")
    try:
        code, _, text = receiver.recv_bytes().decode().partition(" ")
    except EOFError as ex:
        raise StorageUnavailable("the process that tried to open the store died") from ex
    if code:
        raise _REASONS[code](text)


def _attempt(settings: Settings, sender: Connection) -> None:
    """Open and close the store, and send the code and the text of what went wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    logging.disable()  # each worker will say the same again
    try:
        asyncio.run(_open_and_close(settings))
    except (ConfigurationError, StorageUnavailable) as ex:
        sender.send_bytes(f"{ex.code} {ex}".encode())
    else:
        sender.send_bytes(b"")


async def _open_and_close(settings: Settings) -> None:
    store = composition.storage(settings)
    composition.application(settings, store, SystemClock())
    await store.open()
    await store.close()
