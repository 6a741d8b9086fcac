"""Clearing away what has expired, all the time and in small steps."""

from __future__ import annotations

import asyncio
import logging
import random

from queues.clock import Clock
from queues.errors import StorageUnavailable
from queues.storage import Storage

_log = logging.getLogger("nusku.sweep")

#: Messages per batch: small enough that requests do not notice.
_BATCH = 500


async def sweep_forever(storage: Storage, clock: Clock, *, interval_s: float) -> None:
    """Sweep about every `interval_s` until cancelled; busier while there is work.

    Any number of processes do so at once; a random part in the pause keeps them apart. A
    store that is down is tried again after the pause, and so is one that fails in any other
    way, which is logged as the defect that it is.
    """
    while True:
        await asyncio.sleep(interval_s * random.uniform(0.5, 1.5))  # noqa: S311 (no secret)
        try:
            await _sweep_until_clean(storage, clock)
        except StorageUnavailable as ex:
            _log.warning("sweep skipped: %s", ex)
        except Exception:  # (or nothing would be swept any more, until the next start)
            _log.exception("sweep failed")


async def _sweep_until_clean(storage: Storage, clock: Clock) -> None:
    while await storage.sweep(limit=_BATCH, now_ms=clock.now_ms()):  # noqa: ASYNC110
        await asyncio.sleep(0.005)
