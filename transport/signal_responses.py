"""All rendering of wait handles."""

from __future__ import annotations

from typing import Any

import falcon
import falcon.asgi

from queues.operations.signalling import Receipt
from queues.operations.signals import Made, Shown, SignalPage
from queues.signals import Contribution, Handle, Outcome, Progress, Target
from transport.identity import presented_urls
from transport.items import PREFIX, timestamp
from transport.responses import ResponseWriter, links


class SignalResponseWriter:
    """Writes answers in the encoding that the request asked for."""

    def __init__(self, responses: ResponseWriter, *, public_url: str) -> None:
        """Write documents with `responses`.

        `public_url` is where clients reach the service; empty means as the request did.
        """
        self._document = responses.document
        self._public_url = public_url.rstrip("/")

    def made(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str, made: Made
    ) -> None:
        """Answer 201 with a new handle and 200 with one that was; both with its URL."""
        resp.status = falcon.HTTP_201 if made.is_new else falcon.HTTP_200
        resp.set_header("Location", f"{PREFIX}/signals/{name}")
        document = _handle(name, made.handle)
        if made.handle.secret is not None:
            # SECURITY: shown to who may make handles, and not to who may only look at them.
            document["notify"]["secret"] = made.handle.secret
        document["url"] = document["url_expires"] = None
        if made.url is not None:
            (path,) = made.url.terms.paths
            # SECURITY: the host is what this caller said of us, and nobody else is told it.
            base = self._public_url or req.forwarded_prefix
            document["url"] = base + presented_urls.href(made.url, path)
            document["url_expires"] = timestamp(made.handle.url_expires_ms)
        self._document(req, resp, document)

    def shown(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str, shown: Shown
    ) -> None:
        """Answer with a handle and what was said to it, by id."""
        handle, said = shown
        document = {
            **_handle(name, handle),
            "signals": {key: _said(handle, key, one) for key, one in said.by_id.items()},
            "links": links(req, said.marker),
        }
        self._document(req, resp, document)

    def page(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, page: SignalPage
    ) -> None:
        """Answer with a page of handles and a link to the next one."""
        listed = [_handle(kept.name, kept.handle) for kept in page.found]
        self._document(req, resp, {"signals": listed, "links": links(req, page.marker)})

    def received(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, receipt: Receipt
    ) -> None:
        """Answer with what became of a signal, and how far the wait is."""
        handle = receipt.handle
        document = {
            "id": receipt.id,
            "repeated": receipt.outcome is Outcome.REPEATED,
            "state": handle.state,
            "count": handle.terms.count,
            "received": len(handle.senders),
        }
        self._document(req, resp, document)


def _handle(name: str, handle: Handle) -> dict[str, Any]:
    terms = handle.terms
    return {
        "name": name,
        "href": f"{PREFIX}/signals/{name}",
        "state": handle.state,
        "reason": handle.reason,
        "count": terms.count,
        "received": len(handle.senders),
        "timeout": terms.timeout_s,
        "heartbeat": terms.heartbeat_s,
        "data": terms.data,
        "notify": terms.notify and _target(terms.notify),
        "progress": handle.progress and _progress(handle.progress),
        "created": timestamp(handle.created_ms),
        "deadline": timestamp(handle.deadline_ms),
        "ended": None if handle.ended_ms is None else timestamp(handle.ended_ms),
    }


def _target(target: Target) -> dict[str, str]:
    return {kind: name for kind, name in target._asdict().items() if name is not None}


def _progress(progress: Progress) -> dict[str, Any]:
    return {
        "id": progress.id,
        "reason": progress.reason,
        "data": progress.data,
        "at": timestamp(progress.at_ms),
    }


def _said(handle: Handle, sender: str, one: Contribution) -> dict[str, Any]:
    reason = one.reason
    if reason is None and sender in handle.senders:
        # As Heat says it, who has no place for who said what.
        reason = f"Signal {handle.senders.index(sender) + 1} received"
    return {
        "status": one.status,
        "reason": reason,
        "data": one.data,
        "at": timestamp(one.at_ms),
    }
