"""The composition root: joins settings, a storage driver, the operations and HTTP."""

from __future__ import annotations

from typing import Any

import falcon.asgi

from queues import authorization, keys
from queues.clock import Clock, SystemClock
from queues.config import Settings
from queues.operations import Operations
from queues.storage import Storage
from storage_drivers import open_storage, seal_storage
from transport import media
from transport.app import create_app
from transport.identity.application_tokens import ApplicationTokens
from transport.identity.door import Door
from transport.identity.strategies import strategy
from transport.middleware import Lifespan


def storage(settings: Settings) -> Storage:
    """Return the driver that the settings name, not yet opened.

    Raises: ConfigurationError.
    """
    timeout_ms = int(settings.storage_timeout_s * 1000)
    ring = keys.read(settings.keys_file)
    return seal_storage(open_storage(settings.storage, timeout_ms=timeout_ms), ring.encryption)


def operations(settings: Settings, store: Storage, clock: Clock) -> Operations:
    """Return the operations on a store under the rules of the settings.

    Raises: ConfigurationError.
    """
    return Operations(
        store,
        settings.limits(),
        clock,
        delete_with_claim_id=settings.message_delete_with_claim_id,
        keys=keys.read(settings.keys_file),
        authorization=authorization.read(settings.policy_file),
        project_limits=settings.project_limits(),
        to_json=media.as_json,
    )


def application_tokens(
    settings: Settings, rules: Operations, clock: Clock
) -> ApplicationTokens:
    """Return what signs and honours the tokens of applications.

    Raises: ConfigurationError.
    """
    return ApplicationTokens(keys.read(settings.keys_file).tokens, rules.credentials, clock)


def application(settings: Settings, store: Storage, clock: Clock) -> falcon.asgi.App[Any, Any]:
    """Return the application that serves `store`, for one worker process.

    Raises: ConfigurationError.
    """
    rules = operations(settings, store, clock)
    tokens = application_tokens(settings, rules, clock)
    door = Door(strategy(settings, clock), tokens, rules.shares)
    lifespan = Lifespan(
        store,
        clock,
        rules,
        sweep_interval_s=settings.sweep_interval_s,
        max_document_bytes=max(
            settings.max_messages_post_bytes, settings.max_queue_metadata_bytes
        ),
    )
    return create_app(rules, settings, lifespan, door)


def compose(settings: Settings) -> falcon.asgi.App[Any, Any]:
    """Return the application for one worker process.

    Nothing is opened before the lifespan startup, that is, before the process has forked.

    Raises: ConfigurationError.
    """
    return application(settings, storage(settings), SystemClock())
