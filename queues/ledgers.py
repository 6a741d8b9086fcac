"""The second part of the storage contract: what is kept about projects, not about messages.

The rules of `queues/storage.py` hold here as well: `project` first and without default, time
from the caller, one call is one atomic step, `StorageUnavailable` in bounded time.
`tests/conformance` is the executable form of both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from queues.model import Credential, CredentialKind, Rate, Revocations, Usage


class CredentialStore(ABC):
    """Tokens and shares that were given out, and which of them were revoked."""

    @abstractmethod
    async def add(self, project: str, credential: Credential, *, now_ms: int) -> None:
        """Remember a credential until it expires. Adding the same id again changes nothing.

        When this returns, the credential is as durable as a message would be.
        """

    @abstractmethod
    async def get(self, project: str, credential_id: str, *, now_ms: int) -> Credential | None:
        """Return the credential, unless it is unknown, has expired or was revoked."""

    @abstractmethod
    async def list(
        self, project: str, kind: CredentialKind, *, marker: str, limit: int, now_ms: int
    ) -> Sequence[Credential]:
        """Return up to `limit` live credentials with ids after `marker`, ascending.

        Fewer than `limit` means that there are no more.
        """

    @abstractmethod
    async def spend(self, project: str, credential_id: str, *, now_ms: int) -> bool:
        """Use the credential once, and say whether that was allowed.

        False when `get` would return None or no use is left. Of concurrent calls no more
        succeed than uses are left, in all processes together.
        """

    @abstractmethod
    async def revoke(self, project: str, credential_id: str, *, now_ms: int) -> bool:
        """End the credential, and say whether there was a live one.

        When this returns, `revocations` names the id, in every process and until the
        credential would have expired, and keeps naming it after a crash.
        """

    @abstractmethod
    async def revocations(self, *, known: int, now_ms: int) -> Revocations | None:
        """Return what is revoked in all projects, or None if `known` is still the version.

        The version of a store in which nothing was ever revoked is 0. One cheap read when
        nothing changed.
        """


class QuotaStore(ABC):
    """Limits of single projects, how much they use, and how fast they go."""

    @abstractmethod
    async def put(self, project: str, document: bytes) -> None:
        """Set the limits of the project; `document` is opaque."""

    @abstractmethod
    async def get(self, project: str) -> bytes | None:
        """Return the limits of the project, or None if none were set."""

    @abstractmethod
    async def delete(self, project: str) -> None:
        """Forget the limits of the project; without any, it is no error."""

    @abstractmethod
    async def list(self, *, marker: str, limit: int) -> Sequence[tuple[str, bytes]]:
        """Return projects after `marker` that have limits, ascending by code point.

        Fewer than `limit` means that there are no more.
        """

    @abstractmethod
    async def usage(self, project: str, *, now_ms: int) -> Usage:
        """Count what the project has stored.

        Counts everything that was acknowledged before the call. The cost may grow with the
        number of queues of the project, not with that of its messages, except where the
        driver's README says so.
        """

    @abstractmethod
    async def take(
        self, project: str, bucket: str, *, tokens: int, rate: Rate, now_ms: int
    ) -> int:
        """Take up to `tokens` from a bucket, as many as there are, and say how many.

        A bucket that was never used is full. Of concurrent calls in all processes no two
        get the same token. A clock that steps back adds nothing. What a bucket holds may
        be lost in a crash of the store: then it is full.
        """
