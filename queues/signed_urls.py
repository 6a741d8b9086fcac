"""Signatures of URLs: Zaqar's recipe byte for byte, and our own for a URL by itself.

Zaqar's: HMAC-SHA256, in lower-case hexadecimal, over paths, methods, project and expiry, which
are joined by a backslash and an `n` (two characters, not a line feed); paths and methods are
sorted and joined by commas. Source: the Zaqar v2 API, with test vectors.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from queues.errors import InvalidRequest

_SEPARATOR = "\\n"

#: Sets signatures of URLs apart from those of Zaqar's recipe.
_URL_FORM = "nusku-url-1"

#: Which rules of the policy each method needs somewhere.
Needs = Mapping[str, frozenset[str]]

#: What may be shared of a queue.
RULES: dict[str, Needs] = {
    "messages": {
        "GET": frozenset({"messages:get_all", "messages:get"}),
        "POST": frozenset({"messages:create"}),
        "DELETE": frozenset({"messages:delete", "messages:delete_all"}),
    },
    "claims": {
        "POST": frozenset({"claims:create"}),
        "GET": frozenset({"claims:get"}),
        "PATCH": frozenset({"claims:update"}),
        "DELETE": frozenset({"claims:delete"}),
    },
    "subscriptions": {
        "GET": frozenset({"subscription:get_all", "subscription:get"}),
        "POST": frozenset({"subscription:create"}),
        "PATCH": frozenset({"subscription:update"}),
        "DELETE": frozenset({"subscription:delete"}),
        "PUT": frozenset({"subscription:confirm"}),
    },
}

#: What the URL of a wait handle is for.
SIGNAL_NEEDS: Needs = dict.fromkeys(("POST", "PUT"), frozenset({"signals:signal"}))


class Terms(NamedTuple):
    """What a signature promises. Paths are absolute; `expires` is as `expiry` writes it."""

    paths: tuple[str, ...]
    methods: tuple[str, ...]
    project: str
    expires: str


class UrlTerms(NamedTuple):
    """What the signature of a URL by itself promises: also its id, and whether uses count."""

    terms: Terms
    share_id: str
    counted: bool


def sign(terms: Terms | UrlTerms, key: bytes) -> str:
    """Return Zaqar's signature, or that of a URL that needs no headers."""
    message = _SEPARATOR.join(_signed(terms))
    return hmac.new(key, message.encode(), hashlib.sha256).hexdigest()


def is_signed(terms: Terms | UrlTerms, signature: str, keys: Mapping[str, bytes]) -> bool:
    """Say whether one of `keys` made the signature, in a time that tells nothing."""
    if is_ambiguous(terms):
        return False
    given = signature.encode()
    # SECURITY: all keys are tried, and each comparison takes the same time.
    matches = [hmac.compare_digest(sign(terms, key).encode(), given) for key in keys.values()]
    return True in matches


def is_ambiguous(terms: Terms | UrlTerms) -> bool:
    """Say whether something in the terms holds what stands between them when they are signed.

    SECURITY: what a project named `GET\\nother` signs could be read as something that the
    project `other` has signed, so neither is ever signed nor honoured.
    """
    return any(_SEPARATOR in text for text in _signed(terms))


def covers(paths: Sequence[str], path: str) -> bool:
    """Say whether `path` is one of `paths`, or a child of one.

    SECURITY: Zaqar searches, so that `/v2/queues/q/messages` also opens
    `/x/v2/queues/q/messages-of-others`.
    """
    parent = path.rpartition("/")[0]
    return path in paths or (parent in paths and not path.endswith("/"))


def target(path: str) -> tuple[str, Needs] | None:
    """Return whose path it is, a queue or a wait handle, and what methods need there.

    None for what is never signed.
    """
    # NOTE: another service may have signed other paths with the same key.
    names = path.split("/")
    if len(names) < 5:
        return None
    kind, name, part = names[2:5]
    if kind == "queues" and part in RULES:
        return name, RULES[part]
    return (name, SIGNAL_NEEDS) if (kind, part) == ("signals", "signal") else None


def expiry(text: str) -> datetime:
    """Return the moment that an ISO 8601 date or date and time names; UTC when it says nothing.

    Raises: InvalidRequest.
    """
    try:
        if text.isdigit():
            raise ValueError
        moment = datetime.fromisoformat(text)
        # NOTE: at the ends of the calendar, UTC may have no such date.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as ex:
        raise InvalidRequest("expires must be a date and time as in ISO 8601.") from ex


def written(moment: datetime) -> str:
    """Return the moment as Zaqar signs it: UTC, to the second, without zone."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def milliseconds(moment: datetime) -> int:
    """Return the moment in ms since the epoch, without its fraction of a second."""
    return int(moment.replace(microsecond=0).timestamp()) * 1000


def _signed(terms: Terms | UrlTerms) -> list[str]:
    """Return the texts that are signed, in order."""
    if isinstance(terms, UrlTerms):
        counted = "counted" if terms.counted else "uncounted"
        return [_URL_FORM, terms.share_id, counted, *_signed(terms.terms)]
    paths, methods = sorted(terms.paths), sorted(terms.methods)
    return [",".join(paths), ",".join(methods), terms.project, terms.expires]
