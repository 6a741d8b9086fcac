"""What may happen with signed URLs: give out, honour, list and revoke them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from queues import signed_urls
from queues.authorization import Authorization
from queues.clock import Clock
from queues.errors import InvalidRequest, SignatureRefused
from queues.identity import Grant, Identity
from queues.model import CredentialKind
from queues.operations.credentials import CredentialRegister, Entry
from queues.signed_urls import Needs, Terms, UrlTerms
from queues.storage import Storage

#: Source: the Zaqar v2 API.
_DEFAULT_LIFE = timedelta(days=1)
_MAX_USES = 1_000_000


class ShareRequest(NamedTuple):
    """What a client wants to share of a queue; None takes the default."""

    paths: Sequence[str] | None
    methods: Sequence[str] | None
    expires: str | None
    uses: int | None = None


class Share(NamedTuple):
    """What was given out. `id` is for revoking it, and tells nothing that opens anything."""

    id: str
    terms: Terms
    signature: str
    uses: int | None


class Presented(NamedTuple):
    """A signature with what it claims to promise, as somebody presents it."""

    terms: Terms | UrlTerms
    signature: str


class ShareOperations:
    """Give out, honour, list and revoke signed URLs."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        *,
        keys: Mapping[str, bytes],
        authorization: Authorization,
        register: CredentialRegister,
    ) -> None:
        """Sign with the first of `keys`, and honour what any of them has signed."""
        self._storage = storage
        self._clock = clock
        self._keys = keys
        self._authorization = authorization
        self._register = register

    async def sign(self, maker: Identity, queue: str, request: ShareRequest) -> Share:
        """Give out a signature in Zaqar's form, which is presented in headers.

        It allows no more than its maker may do, and outlives no token it was made with.

        Raises: InvalidRequest, Forbidden.
        """
        terms = self._terms(maker, queue, request)
        signature = signed_urls.sign(terms, self._key())
        share = Share(_id_of(signature), terms, signature, None)
        await self._remember(maker, queue, share)
        if await self._register.is_revoked((share.id,)):
            raise InvalidRequest(
                "A share with these very terms was revoked; choose another time for expires."
            )
        return share

    async def sign_url(self, maker: Identity, queue: str, request: ShareRequest) -> Share:
        """Give out a URL that needs no headers, for a number of uses if one was asked for.

        Raises: InvalidRequest, Forbidden.
        """
        if request.uses is not None and not 1 <= request.uses <= _MAX_USES:
            raise InvalidRequest(f"uses must be between 1 and {_MAX_USES}.")
        terms = self._terms(maker, queue, request)
        share_id = secrets.token_hex(16)
        url = UrlTerms(terms, share_id, counted=request.uses is not None)
        share = Share(share_id, terms, signed_urls.sign(url, self._key()), request.uses)
        await self._remember(maker, queue, share)
        return share

    def sign_signal(
        self, project: str, name: str, share_id: str, expires_ms: int
    ) -> Share | None:
        """Return the URL of a wait handle, the same one for the same arguments.

        It is not remembered as others are: whoever keeps the handle says whether its URL with
        this id is still good. None without a key, and where the name of the project cannot
        stand in a signature.
        """
        expires = datetime.fromtimestamp(expires_ms // 1000, UTC)
        terms = Terms(
            (f"/v2/signals/{name}/signal",),
            tuple(signed_urls.SIGNAL_NEEDS),
            project,
            signed_urls.written(expires),
        )
        url = UrlTerms(terms, share_id, counted=False)
        if not self._keys or signed_urls.is_ambiguous(url):
            return None
        return Share(share_id, terms, signed_urls.sign(url, self._key()), None)

    async def honour(self, presented: Presented, method: str, path: str) -> Identity:
        """Return whom a signature makes of its bearer for this request; count the use.

        Raises: SignatureRefused, for every reason with the same text.
        """
        terms, signature = presented
        plain = terms if isinstance(terms, Terms) else terms.terms
        if not signed_urls.is_signed(terms, signature, self._keys):
            raise _refused()
        if method not in plain.methods or not signed_urls.covers(plain.paths, path):
            raise _refused()
        expires_ms = signed_urls.milliseconds(signed_urls.expiry(plain.expires))
        if expires_ms <= self._clock.now_ms():
            raise _refused()
        share_id = terms.share_id if isinstance(terms, UrlTerms) else _id_of(signature)
        if await self._register.is_revoked((share_id,)):
            raise _refused()
        if isinstance(terms, UrlTerms) and terms.counted:
            await self._spend(plain.project, share_id)
        return Identity(plain.project, grant=_grant(share_id, plain, path, expires_ms))

    async def list(
        self, identity: Identity, *, marker: str, limit: int
    ) -> tuple[Sequence[Entry], str | None]:
        """Return a page of the live shares that the caller may see, and where to go on.

        Whoever comes with a credential sees what was made with it. A page may be short, even
        empty, and still have a marker.

        Raises: InvalidRequest for a limit out of range.
        """
        return await self._register.list(
            identity, CredentialKind.SHARE, marker=marker, limit=limit
        )

    async def revoke(self, identity: Identity, share_id: str) -> None:
        """End a share at once, in every process.

        Raises: CredentialNotFound.
        """
        await self._register.revoke(identity, CredentialKind.SHARE, share_id)

    def _key(self) -> bytes:
        for key in self._keys.values():
            return key
        raise InvalidRequest("This service has no key to sign URLs with (keys_file).")

    def _terms(self, maker: Identity, queue: str, request: ShareRequest) -> Terms:
        paths = ["messages"] if request.paths is None else sorted(set(request.paths))
        methods = ["GET"] if request.methods is None else sorted(set(request.methods))
        for path in paths:
            if path not in signed_urls.RULES:
                raise InvalidRequest(f"paths: there is no '{path}' to share.")
        for method in methods:
            if not method.isascii() or not method.isalpha():
                raise InvalidRequest("methods must be names of HTTP methods.")
        needed = (_needed(signed_urls.RULES[path], methods) for path in paths)
        for rule in ("queues:share", *sorted(frozenset().union(*needed))):
            self._authorization.check(rule, maker, queue)
        terms = Terms(
            tuple(f"/v2/queues/{queue}/{path}" for path in paths),
            tuple(methods),
            maker.project,
            self._expires(maker, request.expires),
        )
        if signed_urls.is_ambiguous(terms):
            raise InvalidRequest("The name of this project cannot stand in a signature.")
        return terms

    def _expires(self, maker: Identity, wanted: str | None) -> str:
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        bound = (
            datetime.fromtimestamp(maker.grant.expires_ms / 1000, UTC) if maker.grant else None
        )
        expires = signed_urls.expiry(wanted) if wanted else now + _DEFAULT_LIFE
        if expires <= now:
            raise InvalidRequest("expires must be in the future.")
        if bound is not None and expires > bound:
            if wanted:
                raise InvalidRequest(f"expires must not be after {signed_urls.written(bound)}.")
            expires = bound
        return signed_urls.written(expires)

    async def _remember(self, maker: Identity, queue: str, share: Share) -> None:
        document = {
            "queue": queue,
            "paths": share.terms.paths,
            "methods": share.terms.methods,
            "expires": share.terms.expires,
            "uses": share.uses,
        }
        expires_ms = signed_urls.milliseconds(signed_urls.expiry(share.terms.expires))
        await self._register.add(
            maker,
            CredentialKind.SHARE,
            share.id,
            document,
            expires_ms=expires_ms,
            uses_left=share.uses,
        )

    async def _spend(self, project: str, share_id: str) -> None:
        now_ms = self._clock.now_ms()
        if not await self._storage.credentials.spend(project, share_id, now_ms=now_ms):
            raise _refused()


def _needed(needs: Needs, methods: Sequence[str]) -> frozenset[str]:
    """Return all rules that somebody needs for these methods."""
    nothing: frozenset[str] = frozenset()
    return nothing.union(*(needs.get(method, nothing) for method in methods))


def _grant(share_id: str, terms: Terms, path: str, expires_ms: int) -> Grant:
    """Return what the shared `path` of a request opens: one name, and the methods there."""
    target = signed_urls.target(path)
    if target is None:
        raise _refused()
    name, needs = target
    rules = _needed(needs, terms.methods)
    return Grant((share_id,), rules, (name,), expires_ms, vouched=True)


def _id_of(signature: str) -> str:
    """Return the id of a share in Zaqar's form, which has no place for one."""
    return hashlib.sha256(signature.encode()).hexdigest()[:32]


def _refused() -> SignatureRefused:
    return SignatureRefused("There is nothing at this address.")
