"""Marks a namespace with the layout of its data, so that none is read as what it is not."""

from __future__ import annotations

import asyncio

from queues.errors import ConfigurationError
from storage_drivers.redis.executor import Executor
from storage_drivers.redis.layout import SHARDS

#: Counted up with every change that older or newer servers would misread. The first layout
#: had no mark.
LAYOUT_VERSION = b"3"


async def check_layout(executor: Executor) -> None:
    """Mark a new namespace, or make sure that its data has this layout.

    Raises: ConfigurationError when it has another one; StorageUnavailable.
    """
    place = executor.layout.mark
    key = place.keys["version"]
    version = await executor.command(place, b"GET", key)
    if version is None and await _has_queues(executor):
        version = b"1"
    if version is None:
        await executor.command(place, b"SETNX", key, LAYOUT_VERSION)
        version = await executor.command(place, b"GET", key)
    if version != LAYOUT_VERSION:
        raise ConfigurationError(
            f"Redis: the data in this namespace has layout {version.decode()}, this release "
            f"uses {LAYOUT_VERSION.decode()}: name another ?namespace= or remove the old keys"
        )


async def _has_queues(executor: Executor) -> bool:
    """Say whether any queue was ever announced: see `sweep.py`."""
    places = [executor.layout.sweep(shard) for shard in range(SHARDS)]
    counts = await asyncio.gather(
        *(executor.command(place, b"ZCARD", place.keys["due"]) for place in places)
    )
    return any(counts)
