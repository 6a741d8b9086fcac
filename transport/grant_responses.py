"""All rendering of tokens, shares and quotas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import falcon
import falcon.asgi

from queues.identity import Identity
from queues.model import Usage
from queues.operations.credentials import Entry
from queues.operations.shares import Share
from queues.project_limits import ProjectLimits
from transport.identity import presented_urls
from transport.items import PREFIX, timestamp
from transport.responses import ResponseWriter, links


class GrantResponseWriter:
    """Writes answers in the encoding that the request asked for."""

    def __init__(self, responses: ResponseWriter) -> None:
        """Write documents with `responses`."""
        self._document = responses.document

    def share(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, share: Share) -> None:
        """Answer with the five keys of Zaqar and not one more: Heat makes arguments of them."""
        terms = share.terms
        document = {
            "paths": terms.paths,
            "methods": terms.methods,
            "project": terms.project,
            "expires": terms.expires,
            "signature": share.signature,
        }
        self._document(req, resp, document)

    def url_share(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, share: Share
    ) -> None:
        """Answer 201 with a URL, as path and query, for each shared path."""
        terms = share.terms
        document = {
            "id": share.id,
            "urls": {
                path.rpartition("/")[2]: presented_urls.href(share, path)
                for path in terms.paths
            },
            "methods": terms.methods,
            "expires": terms.expires,
            "uses": share.uses,
        }
        resp.status = falcon.HTTP_201
        resp.set_header("Location", f"{PREFIX}/shares/{share.id}")
        self._document(req, resp, document)

    def token(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        identity: Identity,
        token: str,
    ) -> str:
        """Answer 201 with a token, which is shown this once; return its id."""
        grant = identity.grant
        assert grant is not None, "a token is made of a grant"  # noqa: S101
        resp.status = falcon.HTTP_201
        resp.set_header("Location", f"{PREFIX}/tokens/{grant.id}")
        document = {"id": grant.id, "token": token, "expires": timestamp(grant.expires_ms)}
        self._document(req, resp, document)
        return grant.id

    def entries(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        name: str,
        entries: Sequence[Entry],
        following: str | None,
    ) -> None:
        """Answer with a page of tokens or shares."""
        shown = [_entry(entry) for entry in entries]
        self._document(req, resp, {name: shown, "links": links(req, following)})

    def quota(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        project: str,
        limits: ProjectLimits,
        usage: Usage,
    ) -> None:
        """Answer with the limits of a project (0: none) and what it uses."""
        used = {
            "queues": usage.queues,
            "messages": usage.messages,
            "body_bytes": usage.body_bytes,
            "claimed_messages": usage.claimed,
        }
        document = {"project": project, "limits": limits._asdict(), "usage": used}
        self._document(req, resp, document)

    def overrides(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        listed: Sequence[tuple[str, Mapping[str, Any]]],
        following: str | None,
    ) -> None:
        """Answer with a page of projects that have limits of their own."""
        shown = [{"project": project, "limits": limits} for project, limits in listed]
        self._document(req, resp, {"quotas": shown, "links": links(req, following)})


def _entry(entry: Entry) -> dict[str, Any]:
    document = {name: value for name, value in entry.document.items() if name != "lineage"}
    shown = {
        "id": entry.id,
        "created": timestamp(entry.created_ms),
        **document,
        "expires": timestamp(entry.expires_ms),
        "made_from": entry.document["lineage"][-1:],
    }
    if entry.uses_left is not None:
        shown["uses_left"] = entry.uses_left
    return shown
