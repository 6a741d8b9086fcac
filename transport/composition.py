"""The composition root: joins settings, a storage driver, the operations and HTTP."""

from __future__ import annotations

from typing import Any

import falcon.asgi

from queues import authorization, destinations, keys
from queues.clock import Clock, SystemClock
from queues.config import Settings
from queues.operations import Operations
from queues.operations.notifying import Notifying
from queues.storage import Storage
from storage_drivers import open_storage, seal_storage
from transport import media
from transport.app import create_app
from transport.identity.application_tokens import ApplicationTokens
from transport.identity.door import Door
from transport.identity.strategies import strategy, trusts
from transport.middleware import Lifespan
from transport.outgoing.dispatch import Dispatch
from transport.outgoing.mails import Mails, MailServer
from transport.outgoing.webhooks import Webhooks


def storage(settings: Settings) -> Storage:
    """Return the driver that the settings name, not yet opened.

    Raises: ConfigurationError.
    """
    timeout_ms = int(settings.storage_timeout_s * 1000)
    ring = keys.read(settings.keys_file)
    return seal_storage(open_storage(settings.storage, timeout_ms=timeout_ms), ring.encryption)


def notifying(settings: Settings, clock: Clock) -> Notifying:
    """Return how a server notifies subscribers.

    Raises: ConfigurationError.
    """
    allowed = destinations.parse(settings.webhook_allow)
    trusted = trusts(settings, clock)
    server = MailServer(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_tls,
        settings.smtp_user,
        settings.smtp_password,
        settings.smtp_from,
    )
    timeout_s = settings.webhook_timeout_s
    return Notifying(
        outgoing=Dispatch(
            Webhooks(allowed, clock, timeout_s=timeout_s),
            Mails(server, clock, timeout_s=timeout_s),
            trusted,
        ),
        destinations=allowed,
        trusts=trusted,
        confirmation=settings.subscription_confirmation,
        confirmation_url=settings.subscription_confirmation_url,
        public_url=settings.public_url,
    )


def operations(
    settings: Settings, store: Storage, clock: Clock, out: Notifying | None = None
) -> Operations:
    """Return the operations on a store under the rules of the settings.

    Without a way `out` they notify nobody.

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
        notifying=out or Notifying(),
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
    rules = operations(settings, store, clock, notifying(settings, clock))
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
