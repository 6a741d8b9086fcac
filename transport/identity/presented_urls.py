"""Signed URLs as they are presented: Zaqar's headers, or parameters of the URL itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import falcon.asgi

from queues import signed_urls
from queues.errors import InvalidRequest, SignatureRefused
from queues.operations.shares import Presented, Share
from queues.signed_urls import Terms, UrlTerms
from transport.headers import claimed_project


def presented(req: falcon.asgi.Request) -> Presented | None:
    """Return the signature that the request presents, if any.

    As with Zaqar, an empty `URL-Signature` is none.

    Raises: SignatureRefused when what it needs beside it is missing or malformed.
    """
    signature = req.get_header("URL-Signature")
    if signature:
        return Presented(_terms(_from_headers(req)), signature)
    if "signature=" in req.query_string and (signature := req.get_param("signature")):
        return Presented(_url_terms(req.params), signature)
    return None


def href(share: Share, path: str) -> str:
    """Return path and query of a URL that opens one of the shared paths by itself."""
    terms = share.terms
    parameters = {
        "share": share.id,
        "project": terms.project,
        "paths": ",".join(terms.paths),
        "methods": ",".join(terms.methods),
        "expires": terms.expires,
        "counted": "true" if share.uses is not None else "false",
        "signature": share.signature,
    }
    return f"{path}?{urlencode(parameters, safe='/,:')}"


def _from_headers(req: falcon.asgi.Request) -> dict[str, Any]:
    return {
        "paths": req.get_header("URL-Paths"),
        "methods": req.get_header("URL-Methods"),
        "project": claimed_project(req),
        "expires": req.get_header("URL-Expires"),
    }


def _terms(given: Mapping[str, Any]) -> Terms:
    try:
        # NOTE: any spelling of the moment will do, as with Zaqar.
        expires = signed_urls.written(signed_urls.expiry(given["expires"]))
        paths, methods = given["paths"].split(","), given["methods"].split(",")
        project = given["project"]
        if not isinstance(project, str):
            raise TypeError
        return Terms(tuple(paths), tuple(methods), project, expires)
    except (AttributeError, InvalidRequest, KeyError, TypeError) as ex:
        raise SignatureRefused("A parameter of the signature is missing or wrong.") from ex


def _url_terms(given: Mapping[str, Any]) -> UrlTerms:
    terms = _terms(given)
    return UrlTerms(terms, str(given.get("share")), given.get("counted") == "true")
