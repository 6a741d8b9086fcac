"""The one place where an error becomes an answer, over HTTP or on a WebSocket.

Statuses and titles are Zaqar's: its clients know only 400, 401, 403, 404, 409, 500 and 503
as failures and take everything else for success.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import falcon
import falcon.asgi

from queues import errors
from queues.model import Media
from transport import audit, media, request_ids
from transport.attendance import ClientGone
from transport.exchange import PAUSE_S
from transport.request_ids import request_id

_log = logging.getLogger("nusku.http")

#: Seconds after which a client should try again when the store is away.
RETRY_AFTER_S = 2

#: Whoever is too fast is told so after this time, in which its connection takes nothing else:
#: less than any `Retry-After`. A refusal costs nearly as much as serving (bench/neighbours.py).
REFUSAL_PAUSE_S = 0.25

#: What says that somebody else is away whom we need, and may be back soon.
AWAY = (errors.StorageUnavailable, falcon.HTTPServiceUnavailable)

_STORE_AWAY = "The store did not answer. Please retry the request in a few seconds."
_OUR_MISTAKE = "The server made a mistake. The request id leads to it in the server's log."

_ANSWERS: dict[type[errors.NuskuError], tuple[str, str]] = {
    errors.InvalidRequest: (falcon.HTTP_400, "Invalid API request"),
    errors.MalformedBody: (falcon.HTTP_400, "Invalid request body"),
    errors.QueueNotFound: (falcon.HTTP_404, "Not found"),
    errors.MessageNotFound: (falcon.HTTP_404, "Not found"),
    errors.SubscriptionNotFound: (falcon.HTTP_404, "Not found"),
    errors.SubscriptionExists: (falcon.HTTP_409, "Resource conflict"),
    errors.ClaimNotFound: (falcon.HTTP_404, "Not found"),
    errors.ClaimLost: (falcon.HTTP_404, "Not found"),
    errors.CursorNotFound: (falcon.HTTP_404, "Not found"),
    errors.CursorTooOld: (falcon.HTTP_410, "Cursor too old"),
    errors.MessageClaimed: (falcon.HTTP_403, "Unable to delete"),
    errors.DeleteUnderLostClaim: (falcon.HTTP_400, "Unable to delete"),
    errors.DeleteUnderOthersClaim: (falcon.HTTP_403, "Unable to delete"),
    errors.MetadataConflict: (falcon.HTTP_409, "Resource conflict"),
    errors.IdempotencyKeyReused: (falcon.HTTP_409, "Resource conflict"),
    errors.RedriveNotFound: (falcon.HTTP_404, "Not found"),
    errors.RedriveRunning: (falcon.HTTP_409, "Resource conflict"),
    errors.Forbidden: (falcon.HTTP_403, "Not authorized"),
    errors.CredentialNotFound: (falcon.HTTP_404, "Not found"),
    errors.SignatureRefused: (falcon.HTTP_404, "404 Not Found"),
    errors.SignalNotFound: (falcon.HTTP_404, "Not found"),
    errors.SignalExists: (falcon.HTTP_409, "Resource conflict"),
    # NOTE: not 409, as that is repeated by some: nothing will ever make this one succeed.
    errors.SignalLate: (falcon.HTTP_410, "The wait has ended"),
}

#: What to say of errors that a driver finds deep inside of an atomic step: all say the same.
_TEXTS: dict[type[errors.NuskuError], str] = {
    errors.ClaimLost: "The claim is unknown, has ended, or holds no message any more.",
    errors.IdempotencyKeyReused: "The Idempotency-Key was used before for another request.",
}

#: Errors that refuse somebody, not something.
_REFUSALS = (errors.Forbidden, errors.SignatureRefused, errors.QuotaExceeded)

#: How clients of the Zaqar family introduce themselves; python-zaqarclient does not at all,
#: and says what its library says.
_DEAF_TO_429 = (
    "python-requests/",
    "python-zaqarclient",
    "keystoneauth",
    "openstack",
    "osc-lib",
)

#: What to say of the errors that Falcon raises without a description.
_DESCRIPTIONS = {
    404: "There is nothing at this address.",
    405: "Nothing here has this method; the header Allow names those that there are.",
}


class Described(NamedTuple):
    """What a client is told of an error, whatever carries it."""

    status: int
    title: str
    text: str
    code: str | None = None


def noted(req: falcon.asgi.Request, ex: Exception) -> Described:
    """Return what a client is told of an error, once the logs have what they should."""
    told = described(ex)
    if isinstance(ex, errors.StorageUnavailable):
        _log.warning(
            "%s %s %s: store unavailable: %s", request_id(req), req.method, req.path, ex
        )
    elif isinstance(ex, _REFUSALS) or told.status == 401 or _is_forbidden(ex):
        audit.refused(req, told.code or str(told.status), told.text)
    elif not isinstance(ex, falcon.HTTPError | errors.NuskuError):
        _log.error("%s %s %s failed", request_id(req), req.method, req.path, exc_info=ex)
    return told


def _is_forbidden(ex: Exception) -> bool:
    return isinstance(ex, falcon.HTTPError) and ex.status_code == 403


def described(ex: Exception) -> Described:
    """Return what a client is told of an error."""
    if isinstance(ex, falcon.HTTPError):
        text = ex.description or _DESCRIPTIONS.get(ex.status_code, "The request was refused.")
        return Described(ex.status_code, ex.title or str(ex.status), text)
    if not isinstance(ex, errors.NuskuError):
        # SECURITY: the text of an unforeseen error may hold anything; the client gets none.
        return Described(500, "Internal server error", _OUR_MISTAKE)
    if isinstance(ex, errors.StorageUnavailable):
        # SECURITY: the reason may name hosts, so it goes to the log and not to the client.
        return Described(503, "Service temporarily unavailable", _STORE_AWAY, ex.code)
    if isinstance(ex, errors.QuotaExceeded):
        return Described(403, f"Quota exceeded: {ex.quota}", str(ex), ex.code)
    if isinstance(ex, errors.RateExceeded):
        return Described(429, "Too many requests", str(ex), ex.code)
    status, title = _ANSWERS[type(ex)]
    return Described(int(status[:3]), title, _TEXTS.get(type(ex)) or str(ex), ex.code)


def retry_after_s(ex: Exception) -> int | None:
    """Return after how many seconds to try again what failed with this, if we know."""
    if isinstance(ex, errors.StorageUnavailable):
        return RETRY_AFTER_S
    if isinstance(ex, errors.RateExceeded):
        return max(1, math.ceil(ex.retry_after_s))
    return None


def more_of(ex: errors.NuskuError) -> Mapping[str, Any]:
    """Return what an error is answered with besides."""
    if isinstance(ex, errors.CursorTooOld):
        return {"oldest": ex.oldest, "lost": ex.lost}
    return {}


def install(app: falcon.asgi.App[Any, Any]) -> None:
    """Make `app` answer every error in Zaqar's shape: `title`, `description`, `code`."""
    app.add_error_handler(Exception, _failed)
    app.add_error_handler(falcon.HTTPError, _http_error)
    app.add_error_handler(errors.RateExceeded, _rate_exceeded)
    app.add_error_handler(errors.SubscriptionExists, _subscription_exists)
    app.add_error_handler(errors.CursorTooOld, _cursor_too_old)
    app.add_error_handler(ClientGone, _client_gone)


async def _failed(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    ex: Exception,
    params: dict[str, Any],
) -> None:
    later_s = retry_after_s(ex)
    if later_s is not None:
        resp.set_header("Retry-After", str(later_s))
    _answer(req, resp, noted(req, ex))


async def _http_error(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    ex: falcon.HTTPError,
    params: dict[str, Any],
) -> None:
    if ex.headers is not None:
        resp.set_headers(ex.headers)
    _answer(req, resp, noted(req, ex))


async def _rate_exceeded(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    ex: errors.RateExceeded,
    params: dict[str, Any],
) -> None:
    """Answer 429, or 503 to clients that would take 429 for success and lose messages."""
    agent = req.get_header("User-Agent") or ""
    told = noted(req, ex)
    if agent.startswith(_DEAF_TO_429):
        told = told._replace(status=503)
    resp.set_header("Retry-After", str(retry_after_s(ex)))
    req.scope[PAUSE_S] = REFUSAL_PAUSE_S
    _answer(req, resp, told)


async def _subscription_exists(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    ex: errors.SubscriptionExists,
    params: dict[str, Any],
) -> None:
    resp.set_header("Location", req.path)
    _answer(req, resp, noted(req, ex))


async def _cursor_too_old(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    ex: errors.CursorTooOld,
    params: dict[str, Any],
) -> None:
    _answer(req, resp, noted(req, ex), more_of(ex))


async def _client_gone(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    ex: ClientGone,
    params: dict[str, Any],
) -> None:
    """End the request; the server drops whatever is answered."""
    resp.status = falcon.HTTP_204


def _answer(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response,
    told: Described,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Render an error in the encoding that the client accepts, JSON when in doubt.

    What was not read of the request ends with the connection, if `req.context.close`.
    """
    document: dict[str, Any] = {
        "title": told.title,
        "description": told.text,
        "code": told.code,
        **more,
    }
    if told.status == 401:
        # Keystone's shape, for clients that look for it there.
        document["error"] = {"code": 401, "title": told.title, "message": told.text}
    wanted = getattr(req.context, "media", Media.JSON)
    resp.status = told.status
    resp.content_type = media.JSON if wanted is Media.JSON else media.MSGPACK
    resp.data = media.encode({k: v for k, v in document.items() if v is not None}, wanted)
    resp.append_header("Vary", "Accept")
    request_ids.show(req, resp)
    if getattr(req.context, "close", False):
        resp.set_header("Connection", "close")
