"""Keystone as this service sees it: a login of its own, and the validation of tokens.

Source: the Identity API v3, "Password authentication with scoped authorization" and
"Validate and show information for token".
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from queues.clock import Clock
from transport.identity.exchange import Answer, NoAnswer, Site
from transport.identity.keystone_documents import Login, ShownToken, shown_token
from transport.identity.single_flight import SingleFlight

_log = logging.getLogger("nusku.keystone")

#: After Keystone failed to answer, nobody asks again for so long; then one request tries.
AWAY_MS = 2_000

#: After it refused our own credentials. Longer, as each try may count towards a lock-out.
REFUSED_MS = 15_000

#: No more questions than these are asked at a time, whoever invents tokens.
MAX_QUESTIONS = 32

# Our own token is renewed so long before it expires.
_RENEW_BEFORE_MS = 30_000

# NOTE: the catalog of a large cloud is long, and nobody here reads it.
_TOKENS = "/auth/tokens?nocatalog=1"


class KeystoneUnavailable(Exception):
    """Keystone cannot tell now; `retry_after_s` says when it is asked again."""

    def __init__(self, retry_after_s: int) -> None:
        """Say when to come back."""
        super().__init__(f"Keystone cannot tell now, try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class _OwnToken:
    text: str = field(repr=False)
    renew_at_ms: int


class _Refused(Exception):
    """Keystone does not accept us; the text says what an operator can do about it."""


class _Odd(Exception):
    """Keystone said of one token what cannot be understood."""


class KeystoneService:
    """Validates tokens. While Keystone is away, says so at once."""

    def __init__(self, site: Site, login: Login, clock: Clock, *, timeout_s: float) -> None:
        """Ask at `site`, as `login`."""
        self._site = site
        self._login = login
        self._clock = clock
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(MAX_QUESTIONS)
        self._own: _OwnToken | None = None
        self._logins: SingleFlight[None, _OwnToken] = SingleFlight()
        self._failing = False
        self._closed_until_ms = 0
        self._quiet_until_ms = 0

    async def validate(self, token: str) -> ShownToken | None:
        """Return what Keystone says of the token, None if it says that it is not valid.

        Raises: KeystoneUnavailable, after the timeout at the latest.
        """
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                self._enter()
                shown = await self._ask(token)
        except TimeoutError:
            raise self._close(AWAY_MS, "Keystone is away: it takes too long") from None
        except NoAnswer as ex:
            raise self._close(AWAY_MS, f"Keystone is away: {ex}") from None
        except _Refused as ex:
            raise self._close(REFUSED_MS, str(ex)) from None
        except _Odd as ex:
            # SECURITY: nobody may lock all others out with a token that Keystone stumbles on.
            self._say(f"Keystone answers oddly: {ex}")
            raise KeystoneUnavailable(AWAY_MS // 1000) from None
        self._open()
        return shown

    def _enter(self) -> None:
        """Refuse while Keystone is away; then let one try, and the others only after it."""
        now_ms = self._clock.now_ms()
        left_ms = self._closed_until_ms - now_ms
        # NOTE: more than that is left only if the clock of the machine was set back.
        if 0 < left_ms <= REFUSED_MS:
            raise KeystoneUnavailable(-(-left_ms // 1000))
        if self._failing:
            self._closed_until_ms = now_ms + AWAY_MS

    def _close(self, for_ms: int, reason: str) -> KeystoneUnavailable:
        self._say(reason)
        self._failing = True
        self._closed_until_ms = self._clock.now_ms() + for_ms
        return KeystoneUnavailable(for_ms // 1000)

    def _open(self) -> None:
        if self._failing:
            _log.warning("Keystone answers again")
        self._failing = False
        self._closed_until_ms = self._quiet_until_ms = 0

    def _say(self, reason: str) -> None:
        now_ms = self._clock.now_ms()
        if not 0 < self._quiet_until_ms - now_ms <= REFUSED_MS:
            self._quiet_until_ms = now_ms + REFUSED_MS
            _log.error("%s", reason)

    async def _ask(self, token: str) -> ShownToken | None:
        """Validate a token; once more when our own was revoked or expired early."""
        own = await self._own_token()
        answer = await self._show(own, token)
        if answer.status == 401:
            self._forget(own)
            answer = await self._show(await self._own_token(), token)
        return self._read(answer)

    async def _show(self, own: _OwnToken, token: str) -> Answer:
        headers = {"X-Auth-Token": own.text, "X-Subject-Token": token}
        return await self._site.exchange("GET", _TOKENS, headers)

    def _read(self, answer: Answer) -> ShownToken | None:
        if answer.status == 404:
            return None
        if answer.status == 401:
            # NOTE: Keystone revokes by the second: also what it gave out just after revoking.
            raise NoAnswer("it revoked the token that it gave us")
        if answer.status == 403:
            raise _Refused(
                f"Keystone does not let user {self._login.user!r} validate tokens "
                f"({answer.status}): give it the role 'service' in project "
                f"{self._login.project!r}"
            )
        if answer.status != 200:
            raise _Odd(f"{answer.status} to the validation of a token")
        try:
            return shown_token(answer.body)
        except ValueError as ex:
            raise _Odd(str(ex)) from None

    async def _own_token(self) -> _OwnToken:
        if self._own is None or self._clock.now_ms() >= self._own.renew_at_ms:
            return await self._logins.join(None, self._log_in)
        return self._own

    def _forget(self, own: _OwnToken) -> None:
        if self._own is own:
            self._own = None

    async def _log_in(self) -> _OwnToken:
        headers = {"Content-Type": "application/json"}
        answer = await self._site.exchange("POST", _TOKENS, headers, self._login.document())
        if answer.status in (401, 403, 404):
            raise _Refused(
                f"Keystone refuses our login as user {self._login.user!r} of domain "
                f"{self._login.user_domain!r} in project {self._login.project!r} "
                f"({answer.status}): check keystone_user, keystone_password and "
                "keystone_project"
            )
        text = answer.headers.get("X-Subject-Token")
        if answer.status != 201 or not text:
            raise NoAnswer(f"it answered {answer.status} to our login")
        try:
            expires_ms = shown_token(answer.body).expires_ms
        except ValueError as ex:
            raise NoAnswer(f"to our login, {ex}") from None
        self._own = _OwnToken(text, expires_ms - _RENEW_BEFORE_MS)
        return self._own
