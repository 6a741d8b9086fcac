"""Trusts: Keystone lets this service act for a user, in one project, until some moment.

Source: the Identity API v3, extension OS-TRUST. The user makes the trust with the token of
the request, so nobody gives away more than they have; its id never leaves the service, and
by itself is worth nothing to anybody but the user that this service logs in as.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import falcon

from queues.clock import Clock
from queues.errors import InvalidRequest
from queues.operations.subscriptions import Caller
from transport.identity.exchange import Answer, NoAnswer, Site
from transport.identity.keystone_documents import (
    Login,
    ShownToken,
    made_trust,
    shown_token,
    trustor,
)
from transport.identity.recent import Recent
from transport.outgoing.dispatch import NoToken

_TOKENS = "/auth/tokens?nocatalog=1"
_TRUSTS = "/OS-TRUST/trusts"
_JSON = {"Content-Type": "application/json"}

#: A token of a trust is used for so long, and not in the last minute before it expires.
_USED_MS = 300_000
_LAST_MS = 60_000
_REMEMBERED = 1_000


class _Token(NamedTuple):
    text: str
    until_ms: int


class KeystoneTrusts:
    """Makes trusts for subscriptions, and tokens of them for notifications."""

    def __init__(self, site: Site, login: Login, clock: Clock) -> None:
        """Ask at `site`, as `login`, who is trusted."""
        self._site = site
        self._login = login
        self._clock = clock
        self._trustee: str | None = None
        self._tokens: Recent[_Token] = Recent(_REMEMBERED)

    async def make(self, caller: Caller, *, expires_ms: int) -> str:
        """Make a trust in the name of the caller; return its id.

        Raises: InvalidRequest when the caller has no token of Keystone, or Keystone does not
        let it make a trust; falcon.HTTPServiceUnavailable when Keystone is away.
        """
        if caller.token is None or caller.identity.grant is not None:
            raise InvalidRequest("subscriber: a trust can only be made with a Keystone token.")
        try:
            shown = await self._ask("GET", _TOKENS, caller.token, subject=caller.token)
            if shown.status != 200:
                raise InvalidRequest("subscriber: Keystone does not know this token.")
            document = trustor(shown.body).trust(await self._own_id(), _moment(expires_ms))
            made = await self._ask("POST", _TRUSTS, caller.token, document)
            if made.status != 201:
                raise InvalidRequest(
                    f"subscriber: Keystone does not let you make a trust ({made.status})."
                )
            return made_trust(made.body)
        except (NoAnswer, NoToken, ValueError):
            raise falcon.HTTPServiceUnavailable(
                title="Service temporarily unavailable",
                description="Keystone cannot be asked for a trust now. "
                "Please retry the request in a few seconds.",
                retry_after=2,
            ) from None

    async def token(self, trust_id: str) -> str:
        """Return a token in the name of who made the trust.

        Raises: NoToken.
        """
        now_ms = self._clock.now_ms()
        known = self._tokens.get(trust_id.encode())
        if known is not None and now_ms < known.until_ms:
            return known.text
        try:
            text, shown = await self._log_in(self._login.trusted(trust_id))
        except (NoAnswer, ValueError):
            raise NoToken("Keystone gives no token now", permanent=False) from None
        until_ms = min(now_ms + _USED_MS, shown.expires_ms - _LAST_MS)
        self._tokens.put(trust_id.encode(), _Token(text, until_ms))
        return text

    async def _own_id(self) -> str:
        """Return the id of the user that this service logs in as."""
        if self._trustee is None:
            _, shown = await self._log_in(self._login.document())
            self._trustee = shown.user
        return self._trustee

    async def _log_in(self, document: bytes) -> tuple[str, ShownToken]:
        answer = await self._site.exchange("POST", _TOKENS, _JSON, document)
        text = answer.headers.get("X-Subject-Token")
        if answer.status in (403, 404):
            raise NoToken(f"Keystone refuses the trust ({answer.status})", permanent=True)
        if answer.status != 201 or not text:
            raise NoAnswer(f"it answered {answer.status} to a login")
        return text, shown_token(answer.body)

    async def _ask(
        self, method: str, path: str, token: str, body: bytes = b"", *, subject: str = ""
    ) -> Answer:
        headers = {**_JSON, "X-Auth-Token": token}
        if subject:
            headers["X-Subject-Token"] = subject
        return await self._site.exchange(method, path, headers, body)


def _moment(time_ms: int) -> datetime:
    # NOTE: a float of milliseconds is exact up to the year 9999.
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=time_ms)
