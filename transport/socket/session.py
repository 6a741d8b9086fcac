"""Who speaks on a socket: proved once, bound to one project, and proved again all the time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import falcon
import falcon.asgi

from queues.errors import Forbidden
from queues.identity import Identity
from queues.operations import Operations
from transport.headers import Caller, HeaderReader, check_queue
from transport.identity.door import Door
from transport.identity.none import believed

#: Headers that prove something for the whole socket, and the one that does for a frame.
_PROOFS = frozenset({"x-auth-token", "authorization"})
_SIGNATURE = "url-signature"

_PROJECT = "x-project-id"
#: Headers that say who it is beside the project.
_CLAIMS = ("x-user-id", "x-roles")


class Ended(Exception):
    """What proved who speaks has expired or was revoked."""


class Twin(NamedTuple):
    """The request over HTTP that a frame stands for."""

    method: str
    path: str


#: Stands for the socket itself.
SOCKET = Twin("GET", "/v2/websocket")


class Session:
    """One socket's identity.

    SECURITY: the project is bound when it is first known. What proved it is proved again with
    each frame, so an expired or revoked credential opens nothing more.
    """

    def __init__(
        self,
        handshake: falcon.asgi.Request,
        door: Door,
        reader: HeaderReader,
        operations: Operations,
    ) -> None:
        """Ask `door` who it is, and the policy of `operations` what that allows.

        SECURITY: without a strategy, headers are believed, as whoever passes on the requests
        may have set them. Frames are not passed on one by one, so if the handshake names a
        project, the socket is bound to it, and users and roles are those of the handshake.
        """
        self._vouched = {} if door.is_closed else _vouched(handshake)
        self._door = door
        self._reader = reader
        self._authorization = operations.authorization
        self._quotas = operations.quotas
        self._proof: dict[str, str] = {}
        self._project = self._vouched.get(_PROJECT)

    async def authenticate(self, req: falcon.asgi.Request) -> None:
        """Take what a request proves for this socket; a second time, for the same project.

        Without a strategy, a token that is none of ours proves nothing, and is forgotten.

        Raises: falcon.HTTPError when it proves nothing; Forbidden for another project;
        RateExceeded, StorageUnavailable.
        """
        proved = await self._proved(req)
        identity = proved or believed(req)
        self._bind(identity)
        await self._count(identity)
        found = {name: req.get_header(name) for name in _PROOFS if proved}
        self._proof = {name: text for name, text in found.items() if text is not None}

    def twin(self, twin: Twin, headers: Mapping[str, Any]) -> falcon.asgi.Request:
        """Return the twin of a frame with these headers.

        It proves what the socket has proved, unless it has a signature of its own.
        """
        sent = strings(headers)
        if not sent.get(_SIGNATURE):
            unproved = {name: text for name, text in sent.items() if name not in _PROOFS}
            sent = unproved | self._proof
        return request(twin, self._with_vouched(sent))

    def proof(self, headers: Mapping[str, Any]) -> falcon.asgi.Request:
        """Return a request with what a frame has to prove for the whole socket."""
        return request(SOCKET, self._with_vouched(strings(headers)))

    def _with_vouched(self, sent: dict[str, str]) -> dict[str, str]:
        if not self._vouched:
            return sent
        kept = {name: text for name, text in sent.items() if name not in _CLAIMS}
        return {**self._vouched, **kept}

    async def admit(
        self,
        req: falcon.asgi.Request,
        rule: str | None,
        queue: str | None,
        *,
        may_be_signed: bool,
    ) -> Caller:
        """Return who sends the twin of a frame, if the rule lets them; None asks for none.

        Raises: Ended, Forbidden, SignatureRefused, RateExceeded, StorageUnavailable,
        falcon.HTTPError.
        """
        identity = await self._identity(req, may_be_signed=may_be_signed)
        self._bind(identity)
        client_id = self._reader.client_id(req, identity)
        caller = req.context.caller = Caller(identity.project, client_id, identity)
        if queue is not None:
            check_queue(queue)
        if rule is not None:
            self._authorization.check(rule, identity, queue)
        await self._count(identity)
        return caller

    async def check(self, rule: str | None = None, queue: str | None = None) -> None:
        """Make sure that what proved who speaks still does, and still allows the rule.

        Raises: Ended, Forbidden, StorageUnavailable, falcon.HTTPError.
        """
        if not self._proof:
            return
        identity = await self._still(request(SOCKET, self._proof))
        if rule is not None:
            self._authorization.check(rule, identity, queue)

    async def _identity(self, req: falcon.asgi.Request, *, may_be_signed: bool) -> Identity:
        if req.get_header(_SIGNATURE):
            if not may_be_signed:
                raise Forbidden("A signed URL opens messages only.")
            return await self._proved(req) or believed(req)
        if self._door.is_closed and not self._proof:
            raise falcon.HTTPForbidden(
                title="Not authentified.", description="Authenticate before anything else."
            )
        return await self._still(req)

    async def _still(self, req: falcon.asgi.Request) -> Identity:
        try:
            return await self._proved(req) or believed(req)
        except falcon.HTTPUnauthorized as ex:
            raise Ended from ex

    async def _proved(self, req: falcon.asgi.Request) -> Identity | None:
        return await self._door.proved(req) if self._door.asks(req) else None

    async def _count(self, identity: Identity) -> None:
        if not self._quotas.is_free_request(identity.project):
            await self._quotas.admit_request(identity.project)

    def _bind(self, identity: Identity) -> None:
        if self._project not in (None, identity.project):
            raise Forbidden("The socket belongs to another project.")
        self._project = identity.project


def _vouched(handshake: falcon.asgi.Request) -> dict[str, str]:
    """Return what a handshake says of identity, if it names a project."""
    found = {name: handshake.get_header(name) for name in (_PROJECT, *_CLAIMS)}
    if found[_PROJECT] is None:
        return {}
    # NOTE: HTTP says Latin-1, though it is UTF-8.
    return {
        name: text.encode("latin-1").decode(errors="replace")
        for name, text in found.items()
        if text is not None
    }


def request(twin: Twin, headers: Mapping[str, str]) -> falcon.asgi.Request:
    """Return a request over HTTP, as far as its head goes."""
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


def strings(headers: Mapping[str, Any]) -> dict[str, str]:
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
