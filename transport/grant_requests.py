"""All reading of requests for tokens, shares and quotas."""

from __future__ import annotations

from typing import Any, TypeVar

import falcon.asgi
import msgspec

from queues.config import Settings
from queues.errors import InvalidRequest
from queues.limits import MAX_PROJECT_CHARS, check_queue_name
from queues.operations.shares import ShareRequest
from queues.operations.tokens import TokenRequest
from transport import media, requests
from transport.bodies import BodyReader
from transport.headers import HeaderReader
from transport.media import Document

T = TypeVar("T")


class _Share(msgspec.Struct, forbid_unknown_fields=True):
    paths: list[str] | None = None
    methods: list[str] | None = None
    expires: str | None = None


class _UrlShare(_Share, forbid_unknown_fields=True):
    queue: str = msgspec.field(default="")
    uses: int | None = None


class _Token(msgspec.Struct, forbid_unknown_fields=True):
    operations: list[str]
    queues: list[str] = msgspec.field(default_factory=lambda: ["*"])
    ttl: int | None = None
    client_id: str | None = None
    name: str | None = None


class GrantRequestReader:
    """Reads requests under the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        """Take the caps from `settings`."""
        self._cap_bytes = settings.max_queue_metadata_bytes
        self._page_cap = settings.max_credentials_per_page
        self._bodies = BodyReader(settings.body_timeout_s)
        self._headers = HeaderReader(settings)

    def page(self, req: falcon.asgi.Request) -> tuple[str, int]:
        """Return marker and limit of a listing."""
        return requests.page(req, self._page_cap)

    def project(self, req: falcon.asgi.Request) -> str:
        """Return the project that a quota is for.

        Raises: InvalidRequest without one.
        """
        project = req.get_param("project") or ""
        if not 0 < len(project) <= MAX_PROJECT_CHARS:
            raise InvalidRequest(f"project must have 1 to {MAX_PROJECT_CHARS} characters.")
        return project

    async def share(self, req: falcon.asgi.Request) -> ShareRequest:
        """Return what is to be shared in Zaqar's form.

        Raises: InvalidRequest, as Zaqar calls a wrong key or type here; MalformedBody.
        """
        document = await self._decode(req, dict[str, Any])
        try:
            wanted = msgspec.convert(document, _Share)
        except msgspec.ValidationError as ex:
            raise InvalidRequest(f"The request body is not as expected: {ex}.") from ex
        return ShareRequest(wanted.paths, wanted.methods, wanted.expires)

    async def url_share(self, req: falcon.asgi.Request) -> tuple[str, ShareRequest]:
        """Return the queue and what is to be shared of it as a URL by itself."""
        wanted = await self._decode(req, _UrlShare)
        queue = check_queue_name("queue", wanted.queue)
        return queue, ShareRequest(wanted.paths, wanted.methods, wanted.expires, wanted.uses)

    async def token(self, req: falcon.asgi.Request) -> TokenRequest:
        """Return what a token is wanted for."""
        wanted = await self._decode(req, _Token)
        client_id = wanted.client_id
        if client_id is not None:
            client_id = self._headers.check_client_id(client_id)
        return TokenRequest(
            wanted.operations, wanted.queues, wanted.ttl, client_id, wanted.name
        )

    async def quotas(self, req: falcon.asgi.Request) -> dict[str, Any]:
        """Return the limits that a project is to have."""
        return await self._decode(req, dict[str, Any])

    async def _decode(self, req: falcon.asgi.Request, shape: type[T]) -> T:
        data = await self._bodies.read(req, self._cap_bytes)
        return media.decode(Document(data, media.named(req.content_type)), shape)
