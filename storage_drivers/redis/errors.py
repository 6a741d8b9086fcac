"""What the server answers and how failures of the client library are reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum

from redis.exceptions import RedisError

from queues.errors import StorageUnavailable


class Answer(IntEnum):
    """Answers of scripts that are not data. The loader makes these names known to Lua."""

    QUEUE_CHANGED = -1
    KEY_REUSED = -2
    CLAIM_LOST = -3
    AGAIN = -4
    QUEUE_MISSING = -5
    MESSAGE_SEALED = -6


class RefusalCode(IntEnum):
    """Why a script left a message alone. The loader makes these names known to Lua."""

    CLAIMED = 1
    NOT_CLAIMED = 2


def unavailable(ex: BaseException) -> StorageUnavailable:
    """Return the error to raise `from ex`, a failure of the server or the way to it.

    NOTE: any error the server answers ends here, READONLY, OOM, MISCONF, CLUSTERDOWN and
    NOPERM among them: the request was sound and may be repeated once the store is.
    """
    if isinstance(ex, TimeoutError):
        return StorageUnavailable("Redis did not answer in time")
    return StorageUnavailable(f"Redis is not available: {ex}")


@asynccontextmanager
async def in_time(timeout_s: float) -> AsyncIterator[None]:
    """Bound the time of several steps together.

    Raises: StorageUnavailable when they take longer.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (TimeoutError, RedisError) as ex:
        raise unavailable(ex) from ex
