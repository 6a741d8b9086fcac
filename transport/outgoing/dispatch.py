"""Who sends what: requests, requests with a token of Keystone, and mails."""

from __future__ import annotations

from typing import Protocol

from queues.operations.courier import Parcel
from queues.retries import Outcome
from transport.outgoing.mails import Mail, Mails
from transport.outgoing.webhooks import Webhooks


class NoToken(Exception):
    """There is no token for a trust: `permanent` if there will never be one."""

    def __init__(self, text: str, *, permanent: bool) -> None:
        """Say why."""
        super().__init__(text)
        self.permanent = permanent


class TokenSource(Protocol):
    """Makes tokens out of trusts."""

    async def token(self, trust_id: str) -> str:
        """Return a token in the name of who made the trust.

        Raises: NoToken.
        """


class Dispatch:
    """The `queues.operations.courier.Outgoing` of a server."""

    def __init__(self, webhooks: Webhooks, mails: Mails, tokens: TokenSource | None) -> None:
        """Send through these; without `tokens` no trust is worth anything."""
        self._webhooks = webhooks
        self._mails = mails
        self._tokens = tokens

    async def send(self, parcel: Parcel) -> Outcome:
        """See Outgoing."""
        if parcel.to.mailbox:
            return await self._mails.send(
                Mail(
                    to=parcel.to.mailbox,
                    sender=parcel.sender,
                    subject=parcel.subject,
                    body=parcel.letter.body,
                    message_id=parcel.letter.headers["webhook-id"],
                )
            )
        headers = dict(parcel.letter.headers)
        if parcel.to.is_trusted:
            try:
                headers["X-Auth-Token"] = await self._token(parcel)
            except NoToken as ex:
                return Outcome(None, str(ex), permanent=ex.permanent)
        return await self._webhooks.post(parcel.to.url, headers, parcel.letter.body)

    async def close(self) -> None:
        """Close all connections."""
        await self._webhooks.close()

    async def _token(self, parcel: Parcel) -> str:
        if self._tokens is None or parcel.trust_id is None:
            raise NoToken("the subscription has no trust", permanent=True)
        return await self._tokens.token(parcel.trust_id)
