"""Asking subscribers whether they want to hear of a queue, before anything is sent to them.

A confirmation holds a signature for one request, `PUT …/subscriptions/{id}/confirm`, in
Zaqar's form; so only who reads what arrives at the address can confirm for it. Source of the
keys: the Zaqar v2 API.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from queues import signed_urls, subscribers
from queues.clock import Clock
from queues.errors import ConfigurationError, InvalidRequest
from queues.operations.notices import Notices
from queues.signed_urls import Terms
from queues.subscriptions import Subscription

_SUBSCRIBE = (
    "You have been subscribed to queue {queue} of project {project}. Nothing is sent to you "
    "unless you confirm: send the SubscribeBody to URL-Paths with the other entries as headers."
)
_UNSUBSCRIBE = (
    "You have been unsubscribed from queue {queue} of project {project}. If you did not want "
    "that: send the SubscribeBody to URL-Paths with the other entries as headers."
)


class Confirmations:
    """Sends confirmations, if the service is set up to demand them."""

    def __init__(
        self,
        clock: Clock,
        notices: Notices,
        *,
        demanded: bool,
        keys: Mapping[str, bytes],
        page_url: str,
        public_url: str,
        unsubscribed_ttl_s: int,
    ) -> None:
        """Sign with the first of `keys`; mails lead to the page at `page_url`, if there is one.

        Subscribers are told the whole address if the service knows its `public_url`.

        Raises: ConfigurationError when confirmations are demanded and there is no key.
        """
        if demanded and not keys:
            raise ConfigurationError(
                "subscription_confirmation needs a key under [signed_urls] in keys_file"
            )
        self._clock = clock
        self._notices = notices
        self._demanded = demanded
        self._keys = keys
        self._page_url = page_url
        self._public_url = public_url.rstrip("/")
        self._unsubscribed_ttl_s = unsubscribed_ttl_s

    async def ask(self, project: str, queue: str, subscription: Subscription) -> None:
        """Ask a subscriber to confirm.

        Raises: InvalidRequest for a project whose name cannot be signed.
        """
        notice = {
            "Message_Type": "SubscriptionConfirmation",
            "Message": _SUBSCRIBE.format(queue=queue, project=project),
            "SubscribeBody": {"confirmed": True},
        }
        await self._send(project, queue, subscription, notice, subscription.expires_ms)

    async def tell_end(self, project: str, queue: str, subscription: Subscription) -> None:
        """Tell a subscriber that it was unsubscribed, and how to change that."""
        notice = {
            "Message_Type": "UnsubscribeConfirmation",
            "Message": _UNSUBSCRIBE.format(queue=queue, project=project),
            "UnsubscribeBody": {"confirmed": False},
            "SubscribeBody": {"confirmed": True},
        }
        expires_ms = self._clock.now_ms() + self._unsubscribed_ttl_s * 1000
        await self._send(project, queue, subscription, notice, expires_ms)

    async def _send(
        self,
        project: str,
        queue: str,
        subscription: Subscription,
        notice: Mapping[str, object],
        expires_ms: int,
    ) -> None:
        if not self._demanded:
            return
        signed = self._signed(project, queue, subscription, expires_ms)
        whole = {**notice, **signed, "queue_name": queue}
        if self._public_url:
            # Zaqar has it if Keystone's catalog does.
            whole["WSGISubscribeURL"] = self._public_url + signed["URL-Paths"]
        if self._page_url and subscribers.parse(subscription.subscriber).mailbox:
            whole["ConfirmationURL"] = self._page(queue, signed)
        key = f"{subscription.id}/confirmation-{secrets.token_hex(8)}"
        await self._notices.send(project, queue, key, whole)

    def _signed(
        self, project: str, queue: str, subscription: Subscription, expires_ms: int
    ) -> dict[str, str]:
        """Return what has to be sent as headers to confirm."""
        # NOTE: whole seconds, as the last one of the calendar must not be rounded up.
        expires = datetime.fromtimestamp(expires_ms // 1000, UTC)
        path = f"/v2/queues/{queue}/subscriptions/{subscription.id}/confirm"
        terms = Terms((path,), ("PUT",), project, signed_urls.written(expires))
        if signed_urls.is_ambiguous(terms):
            raise InvalidRequest("The name of this project cannot stand in a signature.")
        return {
            "URL-Signature": signed_urls.sign(terms, next(iter(self._keys.values()))),
            "URL-Methods": "PUT",
            "URL-Paths": path,
            "X-Project-ID": project,
            "URL-Expires": terms.expires,
        }

    def _page(self, queue: str, signed: Mapping[str, str]) -> str:
        """Return the address of the operator's page, with Zaqar's parameters."""
        parameters = {
            "Signature": signed["URL-Signature"],
            "Methods": signed["URL-Methods"],
            "Paths": signed["URL-Paths"],
            "Project": signed["X-Project-ID"],
            "Expires": signed["URL-Expires"],
            "Queue": queue,
        }
        if self._public_url:
            parameters["Url"] = self._public_url + signed["URL-Paths"]
        return f"{self._page_url}?{urlencode(parameters)}"
