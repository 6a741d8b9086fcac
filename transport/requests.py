"""All reading of parameters and bodies, which become checked arguments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import falcon
import falcon.asgi
import msgspec

from queues import patch
from queues.config import Settings
from queues.errors import InvalidRequest
from queues.limits import DEFAULT_PAGE, check_range
from queues.operations.claims import Wanted
from queues.operations.messages import Draft, MessageQuery
from queues.operations.queues import QueueQuery
from transport import headers, media
from transport.bodies import BodyReader
from transport.media import Document

PATCH_MEDIA_TYPE = "application/openstack-messaging-v2.0-json-patch"

_QUEUE_PARAMETERS = ("marker", "limit", "detailed", "name", "with_count")
RESOURCE_TYPES = ("messages", "subscriptions")


class _Message(msgspec.Struct, gc=False):
    body: msgspec.Raw
    ttl: int | None = None
    delay: int | None = None


class _Post(msgspec.Struct, gc=False):
    messages: list[_Message] = []


class _Purge(msgspec.Struct):
    resource_types: list[str] | None = None


class PostedMessages(msgspec.Struct, gc=False):
    """The body of a post, and the size of the whole document."""

    drafts: Sequence[Draft]
    document_bytes: int


class Lease(msgspec.Struct, rename={"ttl_s": "ttl", "grace_s": "grace"}, gc=False):
    """How long a claim shall last; None takes the default."""

    ttl_s: int | None = None
    grace_s: int | None = None


_DEFAULT_LEASE = Lease()


class RequestReader:
    """Reads requests under the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        """Take the caps from `settings`."""
        self._settings = settings
        self._bodies = BodyReader(settings.body_timeout_s)

    # -- parameters ------------------------------------------------------------------------

    def queue_query(self, req: falcon.asgi.Request) -> QueueQuery:
        """Return what a listing of queues asks for; unknown parameters filter by metadata."""
        return QueueQuery(
            marker=req.get_param("marker") or "",
            limit=_limit(req, self._settings.max_queues_per_page),
            detailed=_flag(req, "detailed"),
            name_part=req.get_param("name") or "",
            with_count=_flag(req, "with_count"),
            filters={
                name: req.get_param(name, required=True)
                for name in req.params
                if name not in _QUEUE_PARAMETERS
            },
        )

    def message_query(self, req: falcon.asgi.Request) -> MessageQuery:
        """Return what a listing of messages asks for."""
        return MessageQuery(
            marker=req.get_param("marker") or "",
            limit=_limit(req, self._settings.max_messages_per_page),
            echo=_flag(req, "echo"),
            include_claimed=_flag(req, "include_claimed"),
            include_delayed=_flag(req, "include_delayed"),
        )

    def message_ids(self, req: falcon.asgi.Request) -> Sequence[str] | None:
        """Return the ids asked for, comma-separated or repeated, or None without any.

        Raises: InvalidRequest together with `wait`, as there is nothing to wait for.
        """
        message_ids = _list(req, "ids")
        if message_ids is not None and "wait" in req.params:
            raise InvalidRequest("Give either ids or wait, and not both.")
        return message_ids

    def claim_ids(self, req: falcon.asgi.Request) -> Sequence[str] | None:
        """Return the claims under which messages are to be deleted, or None."""
        return _list(req, "claim_ids")

    def claim_id(self, req: falcon.asgi.Request) -> str | None:
        """Return the claim under which a message is to be deleted, or None."""
        return req.get_param("claim_id")

    def pop(self, req: falcon.asgi.Request) -> int | None:
        """Return how many messages are to be popped, or None to delete by id.

        Raises: InvalidRequest unless exactly one of `pop` and `ids` is there.
        """
        limit = req.get_param_as_int("pop")
        if (limit is None) == (self.message_ids(req) is None):
            raise InvalidRequest("Give either ids or pop, and not both.")
        return limit

    def wait_s(self, req: falcon.asgi.Request) -> int:
        """Return how many seconds to wait if there is nothing; see the function below."""
        # PERF: most requests do not wait.
        return wait_s(req, self._settings.max_wait_s) if "wait" in req.params else 0

    async def metadata(self, req: falcon.asgi.Request) -> dict[str, Any]:
        """Return the metadata for a new queue; no body means none."""
        document = await self._document(req, self._settings.max_queue_metadata_bytes)
        if not document.data:
            return {}
        return textual(media.decode(document, dict[str, Any]))

    async def changes(self, req: falcon.asgi.Request) -> list[patch.Change]:
        """Return the JSON patch in the body.

        Raises: HTTPUnsupportedMediaType unless the Content-Type is that of a patch.
        """
        if req.content_type != PATCH_MEDIA_TYPE:
            raise falcon.HTTPUnsupportedMediaType(
                description=f"Accepts only {PATCH_MEDIA_TYPE}.",
                headers={"Accept-Patch": PATCH_MEDIA_TYPE},
            )
        document = await self._document(req, self._settings.max_queue_metadata_bytes)
        return patch.parse(media.decode(document, Any))

    async def purged(self, req: falcon.asgi.Request) -> Collection[str]:
        """Return what a purge is to remove; without a body it removes everything.

        Raises: InvalidRequest for resource types that do not exist.
        """
        document = await self._document(req, self._settings.max_queue_metadata_bytes)
        if not document.data:
            return RESOURCE_TYPES
        return purged_types(media.decode(document, _Purge).resource_types)

    async def messages(self, req: falcon.asgi.Request) -> PostedMessages:
        """Return the messages to be posted, their bodies as they came."""
        document = await self._document(req, self._settings.max_messages_post_bytes)
        posted, encoding = media.decode(document, _Post), document.media
        drafts = [
            Draft(bytes(message.body), encoding, message.ttl, message.delay)
            for message in posted.messages
        ]
        return PostedMessages(drafts, len(document.data))

    async def claim(self, req: falcon.asgi.Request) -> Wanted:
        """Return the claim that is wanted; without a body it is one by default."""
        key = headers.idempotency_key(req)
        limit = _limit(req, self._settings.max_messages_per_claim_or_pop)
        document = await self._document(req, self._settings.max_queue_metadata_bytes)
        lease = media.decode(document, Lease) if document.data else _DEFAULT_LEASE
        return Wanted(lease.ttl_s, lease.grace_s, limit, key)

    async def lease(self, req: falcon.asgi.Request) -> Lease:
        """Return the lease that a claim shall have from now on."""
        document = await self._document(req, self._settings.max_queue_metadata_bytes)
        return media.decode(document, Lease)

    async def _document(self, req: falcon.asgi.Request, cap_bytes: int) -> Document:
        data = await self._bodies.read(req, cap_bytes)
        return Document(data, media.named(req.content_type))


def purged_types(wanted: Sequence[str] | None) -> Collection[str]:
    """Return what a purge is to remove, each type once, however often it was named.

    Raises: InvalidRequest for nothing, and for types that do not exist.
    """
    if wanted is None or not set(wanted) <= set(RESOURCE_TYPES):
        raise InvalidRequest(
            f"resource_types must be a list out of {', '.join(RESOURCE_TYPES)}."
        )
    return [kind for kind in RESOURCE_TYPES if kind in wanted]


def wait_s(req: falcon.asgi.Request, max_wait_s: int) -> int:
    """Return how many seconds to wait if there is nothing; 0 without `wait`.

    Raises: InvalidRequest for more than is allowed.
    """
    wanted_s: int = req.get_param_as_int("wait", default=0)
    return check_range("wait", wanted_s, 0, max_wait_s)


def detailed(req: falcon.asgi.Request) -> bool:
    """Say whether the client wants messages with more than Zaqar's keys."""
    # PERF: most requests have no parameter at all.
    return req.query_string != "" and _flag(req, "detailed")


def _list(req: falcon.asgi.Request, name: str) -> list[str] | None:
    """Return the elements of a list, comma-separated, repeated or both; empty ones drop out."""
    values = req.get_param_as_list(name)
    if values is None:
        return None
    return [element for value in values for element in value.split(",") if element]


def page(req: falcon.asgi.Request, cap: int) -> tuple[str, int]:
    """Return marker and limit of a listing whose pages hold `cap` at the most."""
    return req.get_param("marker") or "", _limit(req, cap)


def _limit(req: falcon.asgi.Request, cap: int) -> int:
    """Return the limit asked for; whoever asks for none gets one that is allowed."""
    return req.get_param_as_int("limit", default=min(DEFAULT_PAGE, cap))


def _flag(req: falcon.asgi.Request, name: str) -> bool:
    return req.get_param_as_bool(name, default=False)


def textual(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata as JSON carries it: MessagePack binary becomes base64 text."""
    plain: dict[str, Any] = msgspec.to_builtins(metadata)
    return plain
