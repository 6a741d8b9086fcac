"""A server process without the server: `python -m tests.drivers.sqlite_worker VERB FILE`.

Prints a line for each thing that the storage has acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from unittest import mock

from queues.model import Topic, TopicKind
from storage_drivers.sqlite.transaction import Transaction
from tests.conformance.handle import QueueHandle
from tests.drivers.sqlite_storage import orders

WRITERS = 8


async def open_only(_: QueueHandle) -> None:
    report("opened")


async def post(queue: QueueHandle) -> None:
    """Post until killed; print each sequence."""

    async def one_writer() -> None:
        while True:
            for seq in await queue.post():
                report(seq)

    await asyncio.gather(*(one_writer() for _ in range(WRITERS)))


async def claim(queue: QueueHandle) -> None:
    """Claim until nothing is left; print each sequence."""

    async def one_claimer() -> None:
        while (claimed := await queue.claim(3)) is not None:
            for message in claimed.messages:
                report(message.seq)

    await asyncio.gather(*(one_claimer() for _ in range(WRITERS)))


async def watch(queue: QueueHandle) -> None:
    """Watch the queue until killed; print 0, then for each hint when it came, in ns."""
    queue.storage.wakeups.listen(lambda _: report(time.monotonic_ns()))
    await queue.storage.wakeups.watch(Topic(queue.project, TopicKind.QUEUE, queue.queue))
    report(0)
    await asyncio.Event().wait()


async def die(queue: QueueHandle) -> None:
    """Post, and be killed as soon as that is committed."""
    commit = Transaction.commit

    def commit_and_die(transaction: Transaction) -> None:
        commit(transaction)
        os.kill(os.getpid(), signal.SIGKILL)

    with mock.patch.object(Transaction, "commit", commit_and_die):
        await queue.post()


def report(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


VERBS = {"open": open_only, "post": post, "claim": claim, "watch": watch, "die": die}


async def main(verb: str, path: Path) -> None:
    async with orders(path) as queue:
        await VERBS[verb](queue)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
