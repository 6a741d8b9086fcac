"""The register of what was given out: tokens and shares, by whom, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from queues.clock import Clock
from queues.errors import CredentialNotFound, Forbidden
from queues.identity import Grant, Identity
from queues.limits import Limits, check_count
from queues.model import Credential, CredentialKind
from queues.operations.revocations import RevocationList
from queues.storage import Storage

_PAGE = 100


class Entry(NamedTuple):
    """A live credential as shown to its project; `document` says what it allows."""

    id: str
    created_ms: int
    expires_ms: int
    uses_left: int | None
    document: Mapping[str, Any]


class CredentialRegister:
    """Remembers, lists and revokes credentials; knows in every process which are revoked."""

    def __init__(self, storage: Storage, limits: Limits, clock: Clock) -> None:
        """Keep the register in `storage`."""
        self._storage = storage
        self._limits = limits
        self._clock = clock
        self._revocations = RevocationList(storage, clock)

    async def add(
        self,
        maker: Identity,
        kind: CredentialKind,
        credential_id: str,
        document: Mapping[str, Any],
        *,
        expires_ms: int,
        uses_left: int | None = None,
    ) -> None:
        """Remember what `maker` gives out, before it is handed over.

        Raises: Forbidden when the maker's own credential was revoked meanwhile.
        """
        now_ms = self._clock.now_ms()
        whole = {**document, "user": maker.user, "lineage": maker.lineage}
        credential = Credential(
            credential_id, kind, json.dumps(whole).encode(), now_ms, expires_ms, uses_left
        )
        await self._storage.credentials.add(maker.project, credential, now_ms=now_ms)
        # SECURITY: looked at after the record is there, so that either we see the revocation
        # of the maker or the revocation sees what was made.
        if maker.grant and await self.is_revoked(maker.grant.lineage):
            await self._storage.credentials.revoke(maker.project, credential_id, now_ms=now_ms)
            raise Forbidden("The credential was revoked.")

    async def is_revoked(self, lineage: Sequence[str]) -> bool:
        """Say whether one of the credentials was revoked, in whatever process, until now."""
        return await self._revocations.has_any(lineage)

    async def still_holds(self, grant: Grant) -> bool:
        """Say whether a credential that was honoured has neither expired nor been revoked.

        Raises: StorageUnavailable.
        """
        expired = grant.expires_ms <= self._clock.now_ms()
        return not (expired or await self.is_revoked(grant.lineage))

    async def list(
        self, identity: Identity, kind: CredentialKind, *, marker: str, limit: int
    ) -> tuple[Sequence[Entry], str | None]:
        """Return a page of live credentials by id, and the marker of the next page, if any.

        Whoever comes with a credential sees only what was made with it, so a page may be
        short, even empty, and still have a marker.

        Raises: InvalidRequest for a limit out of range.
        """
        check_count("limit", limit, self._limits.max_credentials_per_page)
        found = await self._storage.credentials.list(
            identity.project, kind, marker=marker, limit=limit, now_ms=self._clock.now_ms()
        )
        following = found[-1].id if len(found) == limit else None
        entries = [_entry(credential) for credential in found]
        return [entry for entry in entries if _may_see(identity, entry)], following

    async def revoke(
        self, identity: Identity, kind: CredentialKind, credential_id: str
    ) -> None:
        """End a credential and all that was made from it, at once and in every process.

        Raises: CredentialNotFound, also when it is none of the caller's business.
        """
        now_ms, project = self._clock.now_ms(), identity.project
        found = await self._storage.credentials.get(project, credential_id, now_ms=now_ms)
        if found is None or found.kind is not kind or not _may_see(identity, _entry(found)):
            raise CredentialNotFound(f"There is no {kind} {credential_id}.")
        await self._storage.credentials.revoke(project, credential_id, now_ms=now_ms)
        await self._revoke_shares_of(project, credential_id)

    async def _revoke_shares_of(self, project: str, credential_id: str) -> None:
        """Revoke shares made with a token, as signatures do not tell what they were made with.

        NOTE: tokens carry their lineage, so they need no such search.
        """
        marker: str | None = ""
        while marker is not None:
            found = await self._storage.credentials.list(
                project,
                CredentialKind.SHARE,
                marker=marker,
                limit=_PAGE,
                now_ms=self._clock.now_ms(),
            )
            for share in found:
                if credential_id in _entry(share).document["lineage"]:
                    await self._storage.credentials.revoke(
                        project, share.id, now_ms=self._clock.now_ms()
                    )
            marker = found[-1].id if len(found) == _PAGE else None


def _entry(credential: Credential) -> Entry:
    return Entry(
        credential.id,
        credential.created_ms,
        credential.expires_ms,
        credential.uses_left,
        json.loads(credential.document),
    )


def _may_see(identity: Identity, entry: Entry) -> bool:
    return identity.grant is None or identity.grant.id in entry.document["lineage"]
