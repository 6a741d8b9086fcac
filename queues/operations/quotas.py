"""Quotas of projects: what they may store and how fast they may go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from queues import project_limits
from queues.clock import Clock
from queues.limits import Limits, check_count
from queues.model import Usage
from queues.operations.accounts import NOTHING, REREAD_MS, Account, Reservation
from queues.project_limits import ProjectLimits
from queues.storage import Storage

_REMEMBERED = 10_000


class Quotas:
    """Admits or refuses, for all projects, in one process.

    Rates are exact over all processes but for what each has taken ahead, and one large post.
    Sizes are exact in one process: what is on its way counts, so near a quota there may be
    refused what would just fit, until the next count. They are counted anew once a second and
    before anything is refused; what other processes stored since is not known, so with
    several a project may exceed a size quota by what it can store in a second.
    """

    def __init__(
        self, storage: Storage, limits: Limits, clock: Clock, defaults: ProjectLimits
    ) -> None:
        """Apply `defaults` to projects without limits of their own."""
        self._storage = storage
        self._limits = limits
        self._clock = clock
        self._defaults = defaults
        self._accounts: dict[str, Account] = {}

    def is_free(self, project: str) -> bool:
        """Say whether nothing limits the project, as far as is known without asking the store.

        PERF: then nobody needs to be asked for admission, and most projects are free.
        """
        account = self._accounts.get(project)
        return account is not None and account.is_free

    def is_free_request(self, project: str) -> bool:
        """Say the same where a request begins: there, what is known is kept up to date."""
        account = self._accounts.get(project)
        if account is None:
            return False
        now_ms = self._clock.now_ms()
        if not 0 <= now_ms - account.read_ms < REREAD_MS:
            account.refresh(now_ms)
        return account.is_free

    async def admit_request(self, project: str) -> None:
        """Count one request.

        Raises: RateExceeded.
        """
        account = await self._account(project)
        if account.limits.requests_per_s:
            await account.requests.take(1, account.limits.requests_per_s)

    async def admit_messages(self, project: str, messages: int, body_bytes: int) -> Reservation:
        """Reserve room for messages that are about to be posted.

        Raises: RateExceeded, QuotaExceeded.
        """
        account = await self._account(project)
        if account.limits.messages_per_s:
            await account.messages.take(messages, account.limits.messages_per_s)
        return await self._admit(account, Usage(0, messages, body_bytes, 0))

    async def admit_queue(self, project: str) -> Reservation:
        """Reserve room for a queue that is about to be created.

        Raises: QuotaExceeded.
        """
        return await self._admit(await self._account(project), NOTHING._replace(queues=1))

    async def admit_claim(self, project: str, messages: int) -> Reservation:
        """Reserve messages that are about to be claimed: as many as may be, at least one.

        Raises: QuotaExceeded.
        """
        account = await self._account(project)
        if account.limits.claimed_messages:
            return await account.admit_claim(messages)
        return account.reserve(NOTHING._replace(claimed=messages))

    async def describe(self, project: str) -> tuple[ProjectLimits, Usage]:
        """Return the limits that hold for a project, and what it uses, as the store counts.

        Raises: StorageUnavailable.
        """
        account = Account(self._storage, self._clock, project, self._defaults)
        await account.read()
        usage = await self._storage.quotas.usage(project, now_ms=self._clock.now_ms())
        return account.limits, usage

    async def override(self, project: str, overrides: Mapping[str, Any]) -> None:
        """Set limits of one project; what is left out has the default.

        Holds in this process at once, in others within `accounts.REREAD_MS`.

        Raises: InvalidRequest.
        """
        document = project_limits.encode(overrides)
        try:
            await self._storage.quotas.put(project, document)
        finally:
            self._changed(project)

    async def forget(self, project: str) -> None:
        """Let the defaults hold for a project again."""
        try:
            await self._storage.quotas.delete(project)
        finally:
            self._changed(project)

    async def list(
        self, *, marker: str, limit: int
    ) -> tuple[list[tuple[str, dict[str, Any]]], str | None]:
        """Return a page of projects with overrides, and the marker of the next page, if any.

        Raises: InvalidRequest for a limit out of range.
        """
        check_count("limit", limit, self._limits.max_credentials_per_page)
        found = await self._storage.quotas.list(marker=marker or None, limit=limit)
        following = found[-1][0] if len(found) == limit else None
        return [(name, project_limits.decode(stored)) for name, stored in found], following

    def _changed(self, project: str) -> None:
        """Read the limits of a project anew, also if nobody knows whether they changed."""
        if project in self._accounts:
            self._accounts[project].forget_limits()

    async def _admit(self, account: Account, more: Usage) -> Reservation:
        if account.limits.counts:
            return await account.admit(more)
        return account.reserve(more)

    async def _account(self, project: str) -> Account:
        account = self._accounts.get(project)
        if account is None:
            if len(self._accounts) >= _REMEMBERED:
                self._forget_half()
            account = Account(self._storage, self._clock, project, self._defaults)
            self._accounts[project] = account
        # NOTE: again, if they were changed while they were read.
        while not account.is_read:
            await account.read()
        account.refresh(self._clock.now_ms())
        return account

    def _forget_half(self) -> None:
        """Forget who was here least lately; those who are active read their limits often."""
        oldest = sorted(self._accounts, key=lambda name: self._accounts[name].read_ms)
        for project in oldest[: _REMEMBERED // 2]:
            del self._accounts[project]
