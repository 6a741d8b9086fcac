"""The second part of the storage contract: what is kept about projects, not about messages.

The rules of `queues/storage.py` hold here as well: `project` first and without default, time
from the caller, `StorageUnavailable` in bounded time, and one call is one atomic step unless
its docstring says otherwise. `tests/conformance` is the executable form of both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from queues.model import Credential, CredentialKind, Rate, Revocations, Usage


class CredentialStore(ABC):
    """Tokens and shares that were given out, and which of them were revoked.

    A credential is *live* until `expires_ms` is at or before `now_ms`, or it is revoked; it
    stays live without uses left. Ids come from the caller, who never gives two
    credentials of a store the same: `revocations` does not tell projects apart. All else does.
    """

    @abstractmethod
    async def add(self, project: str, credential: Credential, *, now_ms: int) -> None:
        """Remember a credential until it expires.

        Adding the id again before that changes nothing: it gives back no uses and ends no
        revocation. When this returns, the credential is as durable as a message would be.
        """

    @abstractmethod
    async def get(self, project: str, credential_id: str, *, now_ms: int) -> Credential | None:
        """Return the credential with the uses that are left, or None if it is not live."""

    @abstractmethod
    async def list(
        self, project: str, kind: CredentialKind, *, marker: str, limit: int, now_ms: int
    ) -> Sequence[Credential]:
        """Return up to `limit` live credentials with ids after `marker`.

        Ascending by code point. `marker` need not exist; an empty one starts at the
        beginning. Fewer than `limit` means that there are no more.
        """

    @abstractmethod
    async def spend(self, project: str, credential_id: str, *, now_ms: int) -> bool:
        """Use the credential once, and say whether that was allowed.

        False, and nothing changes, when it is not live or no use is left. Of concurrent
        calls exactly as many succeed as uses are left, in all processes together. A use
        whose answer was lost stays used. Where any number of uses is left, nothing counts
        them.
        """

    @abstractmethod
    async def revoke(self, project: str, credential_id: str, *, now_ms: int) -> bool:
        """End the credential, and say whether there was a live one.

        When this returns, `revocations` names the id, in every process, as durably as a
        message would be, and until the credential would have expired. Of concurrent calls
        one returns True.

        A driver may take two steps. A call that was cut off between them leaves the id
        named, though `get` still knows it; the next call finishes that and returns True.
        """

    @abstractmethod
    async def revocations(self, *, known: int, now_ms: int) -> Revocations | None:
        """Return what is revoked in all projects, or None if `known` is still the version.

        The version of a store in which nothing was ever revoked is 0. One cheap read when
        nothing changed; that ids expired is no change. Ids and version are read in one
        atomic step.
        """


class QuotaStore(ABC):
    """Limits of single projects, how much they use, and how fast they go.

    Names of projects and buckets hold any characters; the empty project is one, too.
    """

    @abstractmethod
    async def put(self, project: str, document: bytes) -> None:
        """Set the limits of the project in place of those before; `document` is opaque.

        When this returns, the document is as durable as a message would be.
        """

    @abstractmethod
    async def get(self, project: str) -> bytes | None:
        """Return the limits of the project, or None if none were set."""

    @abstractmethod
    async def delete(self, project: str) -> None:
        """Forget the limits of the project; without any, it is no error."""

    @abstractmethod
    async def list(self, *, marker: str | None, limit: int) -> Sequence[tuple[str, bytes]]:
        """Return up to `limit` projects after `marker` that have limits, and the limits.

        Ascending by code point. `marker` need not exist; None starts at the beginning,
        while an empty one comes after the empty project. Fewer than `limit` means that
        there are no more.
        """

    @abstractmethod
    async def usage(self, project: str, *, now_ms: int) -> Usage:
        """Count what the project has stored.

        Counts everything that was acknowledged before the call; what happens meanwhile may
        be counted or not, or in parts, as the queues may be read one after another. The
        cost may grow with the number of queues of the project, not with that of its
        messages, except where the driver's README says so.
        """

    @abstractmethod
    async def take(
        self, project: str, bucket: str, *, tokens: int, rate: Rate, now_ms: int
    ) -> int:
        """Take up to `tokens` from a bucket, as many as there are, and say how many.

        A bucket that was never used is full: it holds `rate.burst`. At any other call it
        holds what the last one left and `rate.per_s` for each second since, fractions
        included, but no more than `rate.burst`; whole tokens are taken and fractions stay.
        Rounding errors stay below a thousandth of a token in a million calls. The rate of
        this call counts, whatever that of the last one was.

        No time counts twice: after a clock stepped back, nothing is added until it has
        caught up with the latest `now_ms` of the bucket. Of concurrent calls in all
        processes no two get the same token.

        A driver may forget a bucket that is full at the rate of its last call, and may lose
        what buckets hold in a crash of the store: they are full then.
        """
