"""Who speaks on a socket: proved once, bound to one project, and proved again all the time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import falcon
import falcon.asgi

from queues.errors import Forbidden, StorageUnavailable
from queues.identity import Identity
from queues.operations import Operations
from transport.headers import Caller, HeaderReader
from transport.identity.door import Door
from transport.identity.none import believed

#: Headers that prove something, in the form in which frames have them.
_PROOFS = frozenset({"x-auth-token", "authorization"})
_SIGNATURE = "url-signature"


class NotAuthenticated(Exception):
    """The socket has not proved who speaks, and must before anything else."""


class Ended(Exception):
    """What proved who speaks has expired or was revoked."""


class Twin(NamedTuple):
    """The request over HTTP that a frame stands for."""

    method: str
    path: str


class Session:
    """One socket's identity.

    SECURITY: the project is bound when it is first known. What proved it is proved again with
    each frame, so an expired or revoked credential opens nothing more; see `check`.
    """

    def __init__(self, door: Door, reader: HeaderReader, operations: Operations) -> None:
        """Ask `door` who it is, and the policy of `operations` what that allows."""
        self._door = door
        self._reader = reader
        self._authorization = operations.authorization
        self._quotas = operations.quotas
        self._proof: dict[str, str] = {}
        self._project: str | None = None

    async def authenticate(self, headers: Mapping[str, Any]) -> None:
        """Take what the frame proves for this socket; a second time, for the same project.

        Raises: falcon.HTTPError when it proves nothing; Forbidden for another project.
        """
        sent = _strings(headers)
        identity = await self._proved(as_request(_ANY, sent))
        if self._project not in (None, identity.project):
            raise Forbidden("The socket belongs to another project.")
        self._project = identity.project
        self._proof = {name: sent[name] for name in _PROOFS & sent.keys()}

    async def admit(
        self, headers: Mapping[str, Any], twin: Twin, rule: str, queue: str | None
    ) -> tuple[falcon.asgi.Request, Caller]:
        """Return the twin of a frame over HTTP, and who sends it, if that is allowed.

        Raises: NotAuthenticated, Ended, Forbidden, SignatureRefused, RateExceeded,
        StorageUnavailable, falcon.HTTPError.
        """
        sent = _strings(headers)
        if sent.get(_SIGNATURE):
            identity = await self._signed(sent, twin, rule)
        else:
            identity = await self._known(sent, twin)
        req = as_request(twin, sent)
        caller = Caller(identity.project, self._reader.client_id(req, identity), identity)
        req.context.caller = caller
        self._authorization.check(rule, identity, queue)
        if not self._quotas.is_free_request(identity.project):
            await self._quotas.admit_request(identity.project)
        return req, caller

    async def check(self, rule: str, queue: str) -> None:
        """Make sure that whoever proved who they are may still use a rule on a queue.

        Raises: Ended, Forbidden, StorageUnavailable.
        """
        if self._proof:
            self._authorization.check(rule, await self._still(self._proof, _ANY), queue)

    async def check_proof(self) -> None:
        """Make sure that what proved who speaks still does.

        Raises: Ended.
        """
        with suppress(StorageUnavailable, falcon.HTTPServiceUnavailable):
            if self._proof:
                await self._still(self._proof, _ANY)

    async def _signed(self, sent: dict[str, str], twin: Twin, rule: str) -> Identity:
        if not rule.startswith("messages:"):
            raise Forbidden("A signed URL opens messages only.")
        identity = await self._door.proved(as_request(twin, sent))
        assert identity is not None, "there is a signature"  # noqa: S101
        return identity

    async def _known(self, sent: dict[str, str], twin: Twin) -> Identity:
        unproved = {name: text for name, text in sent.items() if name not in _PROOFS}
        if self._door.is_closed and not self._proof:
            raise NotAuthenticated
        identity = await self._still({**unproved, **self._proof}, twin)
        if self._project is None:
            self._project = identity.project
        if identity.project != self._project:
            raise Forbidden("The socket belongs to another project.")
        return identity

    async def _still(self, sent: dict[str, str], twin: Twin) -> Identity:
        try:
            return await self._proved(as_request(twin, sent))
        except falcon.HTTPUnauthorized as ex:
            raise Ended from ex

    async def _proved(self, req: falcon.asgi.Request) -> Identity:
        identity = await self._door.proved(req) if self._door.asks(req) else None
        return identity or believed(req)


_ANY = Twin("GET", "/v2/websocket")


def as_request(twin: Twin, headers: Mapping[str, str]) -> falcon.asgi.Request:
    """Return the HTTP request that a frame stands for, as far as its head goes."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": twin.method,
        "path": twin.path,
        "raw_path": twin.path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
    }
    return falcon.asgi.Request(scope, _nothing)


async def _nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


def _strings(headers: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of a frame as HTTP has them; a list is joined by commas.

    NOTE: what is neither text nor a list of texts is as good as absent.
    """
    sent = {}
    for name, value in headers.items():
        text = ",".join(value) if _is_list(value) else value
        if isinstance(text, str) and name.isascii():
            sent[name.lower()] = text
    return sent


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(element, str) for element in value)
