"""The composition root: joins settings, a storage driver, the operations and HTTP."""

from __future__ import annotations

from typing import Any

import falcon.asgi

from queues.clock import SystemClock
from queues.config import Settings
from queues.operations import Operations
from queues.storage import Storage
from storage_drivers import open_storage
from transport.app import create_app
from transport.middleware import Lifespan


def storage(settings: Settings) -> Storage:
    """Return the driver that the settings name, not yet opened.

    Raises: ConfigurationError.
    """
    return open_storage(settings.storage, timeout_ms=int(settings.storage_timeout_s * 1000))


def compose(settings: Settings) -> falcon.asgi.App[Any, Any]:
    """Return the application for one worker process.

    Nothing is opened before the lifespan startup, that is, before the process has forked.

    Raises: ConfigurationError.
    """
    store, clock = storage(settings), SystemClock()
    operations = Operations(
        store,
        settings.limits(),
        clock,
        delete_with_claim_id=settings.message_delete_with_claim_id,
    )
    lifespan = Lifespan(store, clock, sweep_interval_s=settings.sweep_interval_s)
    return create_app(operations, settings, lifespan)
